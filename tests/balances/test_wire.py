"""The wire: many commands under way, answers in order, and one end for all when it is lost."""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from balances.connection import Connection
from balances.errors import StoreError, StoreRefused, StoreUnavailable
from tests.balances.conftest import Servers
from tests.balances.server import serving, valkey_program


async def test_answers_come_to_those_who_asked(servers: Servers) -> None:
    connection = Connection(servers["valkey"].url)
    asked = [connection.ask(("ECHO", str(number))) for number in range(300)]
    assert await asyncio.gather(*asked) == [str(number).encode() for number in range(300)]
    await connection.close()


async def test_of_several_commands_the_last_answers(servers: Servers) -> None:
    connection = Connection(servers["valkey"].url)
    assert await connection.ask(("SET", "wire", "1"), ("INCR", "wire"), ("GET", "wire")) == b"2"
    assert await connection.ask(("DEL", "wire")) == 1
    await connection.close()


async def test_an_error_is_the_callers_alone(servers: Servers) -> None:
    connection = Connection(servers["valkey"].url)
    found = await asyncio.gather(
        connection.ask(("ECHO", "before")),
        connection.ask(("NO-SUCH-COMMAND",)),
        connection.ask(("ECHO", "after")),
        return_exceptions=True,
    )
    assert found[0::2] == [b"before", b"after"]
    assert isinstance(found[1], StoreRefused)
    assert "NO-SUCH-COMMAND" in str(found[1])
    await connection.close()


async def test_an_error_within_a_transaction_is_an_error(servers: Servers) -> None:
    connection = Connection(servers["valkey"].url)
    with pytest.raises(StoreError):
        await connection.read_books("x", ("MGET",))
    assert await connection.ask(("PING",)) == b"PONG"
    await connection.close()


async def test_whoever_stops_waiting_takes_nobodys_answer_away(servers: Servers) -> None:
    connection = Connection(servers["valkey"].url)
    await connection.ask(("PING",))
    given_up = asyncio.create_task(connection.ask(("ECHO", "mine")))
    other = asyncio.create_task(connection.ask(("ECHO", "yours")))
    await asyncio.sleep(0)
    given_up.cancel()
    assert await other == b"yours"
    await connection.close()


async def test_an_answer_of_many_octets_is_whole(servers: Servers) -> None:
    connection = Connection(servers["valkey"].url)
    large = bytes(range(256)) * 20_000
    assert await connection.ask(("ECHO", large)) == large
    await connection.close()


async def test_a_store_that_stands_still_fails_all_and_is_asked_anew(tmp_path: Path) -> None:
    with serving(valkey_program(), tmp_path) as server:
        connection = Connection(server.url, timeout_ms=300)
        assert await connection.ask(("PING",)) == b"PONG"
        os.kill(server.pid, signal.SIGSTOP)
        try:
            asked = [connection.ask(("PING",)) for _ in range(3)]
            found = await asyncio.gather(*asked, return_exceptions=True)
            assert [type(each) for each in found] == [StoreUnavailable] * 3
            assert "has not answered for 0.3 s" in str(found[0])
        finally:
            os.kill(server.pid, signal.SIGCONT)
        for _ in range(100):
            try:
                assert await connection.ask(("PING",)) == b"PONG"
                break
            except StoreUnavailable:
                await asyncio.sleep(0.05)
        else:
            pytest.fail("it is not asked anew")
        await connection.close()


async def test_a_store_that_dies_fails_what_is_under_way_at_once(tmp_path: Path) -> None:
    with serving(valkey_program(), tmp_path) as server:
        connection = Connection(server.url, timeout_ms=60_000)
        assert await connection.ask(("PING",)) == b"PONG"
        os.kill(server.pid, signal.SIGSTOP)
        asked = asyncio.create_task(connection.ask(("PING",)))
        await asyncio.sleep(0.05)
        server.kill()
        async with asyncio.timeout(20):
            with pytest.raises(StoreUnavailable, match="lost"):
                await asked
            with pytest.raises(StoreUnavailable):
                await connection.ask(("PING",))
        await connection.close()


async def test_closing_fails_what_is_under_way(servers: Servers) -> None:
    connection = Connection(servers["valkey"].url)
    await connection.ask(("PING",))
    asked = asyncio.create_task(connection.ask(("PING",)))
    await asyncio.sleep(0)
    await connection.close()
    with pytest.raises(StoreUnavailable, match="closed"):
        await asked


async def test_the_first_error_of_several_commands_is_told(servers: Servers) -> None:
    """That of the transaction tells nothing: why a command was refused stands before it."""
    connection = Connection(servers["valkey"].url)
    with pytest.raises(StoreRefused, match="NO-SUCH-COMMAND"):
        await connection.ask(("MULTI",), ("NO-SUCH-COMMAND",), ("PING",), ("EXEC",))
    assert await connection.ask(("PING",)) == b"PONG"
    await connection.close()
