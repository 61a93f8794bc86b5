"""What processes say of themselves: the last word of each, until it is long dead."""

from collections.abc import AsyncIterator

import pytest

from balances.connection import Connection
from balances.health import FORGET_MS, Beat, Heartbeats, Memory, memory
from tests.balances.conftest import Servers

NOW_MS = 1_800_000_000_000


@pytest.fixture
async def heartbeats(servers: Servers) -> AsyncIterator[Heartbeats]:
    connection = Connection(servers["valkey"].url)
    await connection.command("FLUSHALL")
    yield Heartbeats(connection)
    await connection.close()


def beat(name: str, host: str = "here", at_ms: int = NOW_MS, *, ok: bool = True) -> Beat:
    return Beat(name, 7, host, at_ms, ok, "" if ok else "deaf", {"settled": 3})


async def test_the_last_word_of_each_process_holds(heartbeats: Heartbeats) -> None:
    for each in (beat("listener-1"), beat("listener-0"), beat("listener-1", ok=False)):
        await heartbeats.beat(each)
    assert await heartbeats.all(NOW_MS) == [beat("listener-0"), beat("listener-1", ok=False)]


async def test_processes_of_one_name_on_two_hosts_are_two(heartbeats: Heartbeats) -> None:
    here, there = beat("listener-0", "here"), beat("listener-0", "there", ok=False)
    await heartbeats.beat(there)
    await heartbeats.beat(here)
    assert await heartbeats.all(NOW_MS) == [here, there]
    await heartbeats.gone(here)
    assert await heartbeats.all(NOW_MS) == [there]


async def test_the_long_dead_are_forgotten(heartbeats: Heartbeats) -> None:
    for each in (beat("old", at_ms=NOW_MS - 1), beat("young", at_ms=NOW_MS)):
        await heartbeats.beat(each)
    assert len(await heartbeats.all(NOW_MS)) == 2
    assert [each.name for each in await heartbeats.all(NOW_MS + FORGET_MS)] == ["young"]
    assert [each.name for each in await heartbeats.all(NOW_MS)] == ["young"]


async def test_the_store_tells_how_full_it_is(servers: Servers) -> None:
    connection = Connection(servers["valkey"].url)
    before = await memory(connection)
    await connection.command("SETRANGE", "ballast", 5_000_000, "x")
    after = await memory(connection)
    await connection.command("DEL", "ballast")
    await connection.command("CONFIG", "SET", "maxmemory", 77_000_000)
    bounded = await memory(connection)
    await connection.command("CONFIG", "SET", "maxmemory", before.bound)
    await connection.close()
    assert 5_000_000 <= after.used - before.used < 6_000_000
    assert (bounded.bound, bounded.full) == (77_000_000, False)


@pytest.mark.parametrize(
    ("used", "bound", "full"),
    [(64_000, 64_000, True), (63_001, 64_000, True), (63_000, 64_000, False), (64_000, 0, False)],
)
def test_a_store_is_full_when_it_is_about_to_be(used: int, bound: int, full: bool) -> None:
    assert Memory(used, bound).full is full
