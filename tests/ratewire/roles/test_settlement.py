"""The settlement role: it has the last word, and says when it cannot speak."""

import asyncio
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from balances.connection import Connection
from balances.messages import Position
from billing.settlement import position
from ratewire.roles import settlement
from ratewire.wiring import PARTITION, System, now_ms
from tests.ratewire.apart import apart
from tests.ratewire.office import Office
from tests.ratewire.provider import INTERIM, START, Provider
from tests.ratewire.roles.running import eventually, running
from tests.ratewire.today import today

MB = 1_000_000


@pytest.fixture
def provider(connection: Connection, office: Office) -> Provider:
    """Workers on the books of the system."""
    return today(connection)


async def settled(system: System) -> Position:
    async with (await system.pool()).acquire() as conn:
        found = await position.read(conn, PARTITION)
    assert found is not None
    return found.position


async def health(system: System) -> tuple[bool, str] | None:
    for beat in await system.heartbeats.all(now_ms()):
        if beat.name == "settlement":
            return beat.ok, beat.detail
    return None


async def test_what_is_committed_is_in_the_ledger_when_it_has_ended(
    system: System, office: Office, provider: Provider
) -> None:
    """Also what it was behind with when it was told to stop."""
    await office.subscribe(5 * MB)
    async with running(lambda stop: settlement.run(system, stop)) as stop:
        await provider.told(START)
        provider.world.pass_ms(60_000)
        await provider.told(INTERIM, 60, 0, 100 * MB)

        async def caught_up() -> bool:
            return await settled(system) == (await system.stream.books()).position

        await eventually(caught_up)
        async with (await system.pool()).acquire() as conn, conn.transaction():
            await position.hold(conn, PARTITION)  # the settler waits for this
            for second in range(61, 70):
                provider.world.pass_ms(1000)
                await provider.told(INTERIM, second, 0, second * 2 * MB)
            stop.set()
    assert await caught_up()
    async with (await system.pool()).acquire() as conn:
        charged = await conn.fetchval("SELECT sum(charged_micros) FROM usage_records")
    assert charged == 2000 * 69 * 2
    assert await health(system) is None, "it has said goodbye"


async def test_a_gap_is_told_and_does_not_keep_it_from_ending(
    system: System, office: Office, provider: Provider, connection: Connection
) -> None:
    await office.subscribe(5 * MB)
    for number in range(3):
        await provider.told(START, session=f"s{number}")
    [_, second, *_] = await system.stream.entries_after(Position(1, 0), 10)
    await connection.command("XDEL", "rw:{0}:settle", f"1-{second.position.sequence}")
    async with running(lambda stop: settlement.run(system, stop)):

        async def told() -> bool:
            found = await health(system)
            return found is not None and not found[0] and "expected is 1-2" in found[1]

        await eventually(told)
    assert await settled(system) == Position(1, 1)


async def test_it_waits_for_the_database(
    system: System, office: Office, provider: Provider, tmp_path: Path
) -> None:
    await office.subscribe(5 * MB)
    await provider.told(START)
    async with apart(system, tmp_path) as (second, store, database):
        await store.open()
        with capture_logs() as lines:
            async with running(lambda stop: settlement.run(second, stop)):
                for sequence in (1, 2):
                    await asyncio.sleep(0.2)
                    assert await settled(system) == Position(1, sequence - 1)
                    await database.open()

                    async def caught_up(expected: int = sequence) -> bool:
                        return await settled(system) == Position(1, expected)

                    await eventually(caught_up)
                    await database.close()
                    await provider.told(START, session=f"s{sequence + 1}")
                await database.open()
    told = [line["event"] for line in lines if line.get("what") == "the settlement's database"]
    assert told == ["failing", "works again"]


async def test_without_a_database_it_can_still_be_told_to_stop(
    system: System, office: Office, tmp_path: Path
) -> None:
    async with apart(system, tmp_path) as (second, store, _):
        await store.open()
        async with asyncio.timeout(3), running(lambda stop: settlement.run(second, stop)):
            await asyncio.sleep(0.05)
