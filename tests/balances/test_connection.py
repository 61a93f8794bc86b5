"""The connection: whatever goes wrong is one of our errors, and says what the caller should do."""

from pathlib import Path

import pytest
from redis.exceptions import (
    BusyLoadingError,
    OutOfMemoryError,
    RedisError,
    ResponseError,
)
from redis.exceptions import TimeoutError as RedisTimeoutError

from balances.connection import Connection, store_error
from balances.errors import (
    StoreEmpty,
    StoreError,
    StoreFenced,
    StoreFull,
    StoreRefused,
    StoreUnavailable,
)
from tests.balances.conftest import Servers
from tests.balances.world import World


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (ResponseError("FENCED rebuilding script: f, on @user_function:3."), StoreFenced, "rebuil"),
        (ResponseError("EMPTY the store holds no books"), StoreEmpty, "holds no books"),
        (ResponseError("REFUSED account a is not open"), StoreRefused, "account a is not open"),
        (ResponseError("OOM command not allowed"), StoreFull, "memory bound"),
        (OutOfMemoryError("command not allowed"), StoreFull, "memory bound"),
        (BusyLoadingError("LOADING"), StoreUnavailable, "LOADING"),
        (RedisTimeoutError("Timeout reading"), StoreUnavailable, "Timeout"),
        (ResponseError("BUSY running a script"), StoreUnavailable, "BUSY"),
        (ResponseError("WRONGTYPE Operation"), StoreRefused, "WRONGTYPE"),
    ],
)
def test_the_clients_errors_are_ours(
    error: RedisError, kind: type[StoreError], message: str
) -> None:
    ours = store_error(error)
    assert type(ours) is kind
    assert message in str(ours)


async def test_a_store_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    connection = Connection(f"unix://{tmp_path}/nobody")
    with pytest.raises(StoreUnavailable):
        await connection.command("PING")
    with pytest.raises(StoreUnavailable):
        await connection.call("read", "", 0)
    await connection.close()


async def test_a_store_that_does_not_answer_in_time_is_unavailable(servers: Servers) -> None:
    connection = Connection(servers["valkey"].url, timeout_ms=50)
    with pytest.raises(StoreUnavailable):
        await connection.command("BLPOP", "nothing", 5)
    assert await connection.command("PING") in (b"PONG", "PONG")
    await connection.close()


async def test_partitions_are_apart(server_world: World, servers: Servers) -> None:
    assert server_world.connection is not None
    await server_world.fund(5)
    other = Connection(servers["valkey"].url, partition=1)
    assert other.prefix == "rw:{1}"
    with pytest.raises(StoreEmpty):
        await other.call("commit", "", 0, 0)
    await other.close()


async def test_without_a_clock_of_ours_the_stores_is_used(server_world: World) -> None:
    assert server_world.connection is not None
    server_world.connection.now_ms = None
    seconds, micros = await server_world.connection.command("TIME")
    snapshot = await server_world.hot.read([])
    assert 0 <= snapshot.now_ms - (int(seconds) * 1000 + int(micros) // 1000) < 5000
