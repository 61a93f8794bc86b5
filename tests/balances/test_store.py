"""The store in a server, beside what the contract says: its keys, their life, its notices."""

import re

from msgspec.structs import replace

from balances.connection import Connection
from balances.messages import OpenAccount, Status
from tests.balances.keyspace import keyspace
from tests.balances.world import QUIET_S, SESSION, SIBLING, World, uid_of

LATE_WINDOW_MS = 7 * 24 * 3600 * 1000


def connection_of(world: World) -> Connection:
    assert world.connection is not None
    return world.connection


async def remaining_ms(world: World) -> int:
    connection = connection_of(world)
    return await connection.command("PTTL", f"{connection.prefix}:s:{SESSION}")


async def test_a_closed_session_is_kept_for_the_late_window(server_world: World) -> None:
    world = server_world
    await world.fund(1000)
    await world.book(want=10)
    assert await remaining_ms(world) == -1
    await world.book(open=False)
    assert LATE_WINDOW_MS - 60_000 < await remaining_ms(world) <= LATE_WINDOW_MS
    connection = connection_of(world)
    await connection.command("PEXPIRE", f"{connection.prefix}:s:{SESSION}", 5000)
    await world.book(open=False, charge=1)
    assert LATE_WINDOW_MS - 60_000 < await remaining_ms(world) <= LATE_WINDOW_MS
    await world.book(want=10)
    assert await remaining_ms(world) == -1


async def test_a_session_that_never_opened_expires_too(server_world: World) -> None:
    await server_world.fund(1000)
    await server_world.book(open=False)
    assert 0 < await remaining_ms(server_world) <= LATE_WINDOW_MS


async def test_sessions_that_ended_leave_nothing_but_themselves(server_world: World) -> None:
    world = server_world
    await world.fund(1000)
    before = set(await keyspace(connection_of(world)))
    await world.book(want=10)
    await world.cut(SIBLING)
    await world.limit(5)
    world.pass_ms(QUIET_S * 1000)
    await world.due()
    await world.book(open=False)
    await world.book(SIBLING, open=False)
    prefix = connection_of(world).prefix
    left = set(await keyspace(connection_of(world))) - before
    assert left == {
        f"{prefix}:s:{SESSION}".encode(),
        f"{prefix}:s:{SIBLING}".encode(),
        f"{prefix}:settle".encode(),
    }


async def test_all_keys_are_the_partitions(server_world: World) -> None:
    """On a cluster, others would be in another slot."""
    world = server_world
    await world.fund(0)
    await world.subscribe("bob")
    await world.cut()
    await world.top_up(5)
    await world.hot.mark_boot("n", 5)
    await world.movements.publish("plans", 1, {"a": b""})
    for key in await keyspace(connection_of(world)):
        assert key.startswith(b"rw:{0}:")


async def notices(world: World) -> int:
    """How often those who wait were told since the server began."""
    statistics = await connection_of(world).command("INFO", "commandstats")
    found = re.search(rb"cmdstat_publish:calls=(\d+)", statistics)
    return int(found[1]) if found else 0


async def test_who_waits_is_told_of_what_is_due_at_once_and_of_nothing_else(
    server_world: World,
) -> None:
    world = server_world
    await world.fund(100)
    before = await notices(world)
    await world.book(want=60)
    await world.cut(SIBLING, want=60, after_ms=5000)
    await world.top_up(-1)
    assert await notices(world) == before + 1  # the siblings hold what was taken
    await world.cut(SIBLING, after_ms=999)
    assert await notices(world) == before + 2
    await world.jobs.request_disconnect(SESSION)
    assert await notices(world) == before + 3
    await world.limit(5)
    assert await notices(world) == before + 4
    await world.book("n|1", charge=1000)
    assert await notices(world) == before + 5


async def test_an_interim_of_an_open_session_is_few_commands(server_world: World) -> None:
    """Whatever is added here is paid for with every record."""
    world = server_world
    await world.fund(1000)
    await world.book(want=10)
    step = await world.step(charge=1, want=10, entries=(b"x",))
    connection = connection_of(world)
    await connection.command("CONFIG", "RESETSTAT")
    assert await world.statuses(step) == [Status.COMMITTED]
    statistics = (await connection.command("INFO", "commandstats")).decode()
    calls = {
        name: int(count) for name, count in re.findall(r"cmdstat_(\w+):calls=(\d+)", statistics)
    }
    assert calls == {
        "fcall": 1,
        "hmget": 2,
        "mget": 2,
        "mset": 1,
        "hincrby": 1,
        "hset": 1,
        "xadd": 1,
    }


async def test_a_session_with_its_account_needs_little_room(server_world: World) -> None:
    """A kibioctet for the session with its place in the indexes, half of one for the account."""
    world = server_world
    connection = connection_of(world)
    count = 3000
    names = [f"customer{number:06}" for number in range(count)]
    await world.fund(0, "some")
    before = await used_memory(connection)
    step = await world.step("pop1/10.0.0.1|8000001a", "some", state=bytes(200))
    for first in range(0, count, 500):
        some = names[first : first + 500]
        movements = [OpenAccount(name, 1, "EUR") for name in some]
        await world.movements.apply(movements)
        steps = [
            replace(step, session=f"{step.nas}|{name}", account=name, uid=uid_of(name))
            for name in some
        ]
        assert set(await world.statuses(*steps)) == {Status.COMMITTED}
    assert ((await used_memory(connection)) - before) / count < 1536


async def used_memory(connection: Connection) -> int:
    found = re.search(rb"used_memory:(\d+)", await connection.command("INFO", "memory"))
    assert found is not None
    return int(found[1])
