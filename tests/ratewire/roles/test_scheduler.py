"""The scheduler role: movements reach the store, partitions are made ahead, whatever is away."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest

from billing.upkeep import scheduler as upkeep
from billing.upkeep.jobs import Job, enqueue
from billing.upkeep.scheduler import DAILY
from config.settings import DatabaseSettings, Settings
from ratewire.roles import scheduler
from ratewire.wiring import System
from tests.ratewire.apart import apart
from tests.ratewire.office import Office
from tests.ratewire.roles.running import eventually, running

MB = 1_000_000
FUTURE = datetime(2041, 5, 6, tzinfo=UTC)


async def balance(system: System) -> int | None:
    [account] = await system.store.accounts(["acme"])
    return None if account is None else account.balance


async def miss_a_day(system: System) -> None:
    """The daily upkeep is due, as it is when nobody ran at its time."""
    async with (await system.pool()).acquire() as conn:
        await conn.execute(
            "INSERT INTO pgqueuer_schedules (expression, entrypoint, next_run)"
            " VALUES ($1, 'daily', now() - interval '1 day')"
            " ON CONFLICT (expression, entrypoint) DO UPDATE SET next_run = EXCLUDED.next_run",
            DAILY,
        )


async def partitions(system: System, year: int) -> int:
    """How many partitions there are for a year."""
    async with (await system.pool()).acquire() as conn:
        return await conn.fetchval(
            "SELECT count(*) FROM pg_inherits WHERE inhrelid::regclass::text ~ $1",
            f"_{year}_[0-9]{{2}}$",
        )


async def queued(system: System) -> int:
    """How many jobs wait or run."""
    async with (await system.pool()).acquire() as conn:
        return await conn.fetchval("SELECT count(*) FROM pgqueuer")


@pytest.mark.parametrize("connections", [3, 8])
async def test_movements_and_the_upkeep_go_side_by_side(
    system: System,
    office: Office,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    connections: int,
) -> None:
    """With the fewest connections that can be set, too."""
    monkeypatch.setattr(scheduler, "now", lambda: FUTURE)
    await office.subscribe(MB)
    await miss_a_day(system)
    frugal = Settings(
        data=settings.data, store=settings.store, database=DatabaseSettings(pool=connections)
    )
    apart = System(frugal, system.urls)
    async with running(lambda stop: scheduler.run(apart, stop, 0)):
        await office.top_up(MB, tell=False)

        async def arrived() -> bool:
            return await balance(system) == 2 * MB

        async def made() -> bool:
            return await partitions(system, 2041) == 8

        await eventually(arrived)
        await eventually(made)
    await apart.close()


async def test_it_goes_on_when_postgres_was_away(
    system: System, office: Office, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Away when it starts, and away once more while it works."""
    year = 2041
    monkeypatch.setattr(scheduler, "now", lambda: FUTURE.replace(year=year))
    monkeypatch.setattr(upkeep, "POLL_SECONDS", 0.5)
    await office.subscribe(MB)
    await miss_a_day(system)
    async with apart(system, tmp_path) as (second, store, database):
        await store.open()
        async with running(lambda stop: scheduler.run(second, stop, 0)):
            for year, expected in ((2041, 2 * MB), (2042, 3 * MB)):
                await asyncio.sleep(0.2)
                await office.top_up(MB, tell=False)
                await database.open()

                async def arrived(amount: int = expected) -> bool:
                    return await balance(system) == amount

                async def made(made_for: int = year) -> bool:
                    return await partitions(system, made_for) == 8 and not await queued(system)

                await eventually(arrived)
                await eventually(made)
                await database.close()
                async with (await system.pool()).acquire() as conn:
                    await enqueue(conn, Job.PARTITIONS)
            await database.open()
