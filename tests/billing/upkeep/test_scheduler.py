"""The scheduler: jobs are done once and in the end, whoever dies, and the calendar is kept."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest
import uvloop
from pgqueuer.core.qm import QueueManager
from pgqueuer.domain.errors import FailingListenerError
from pgqueuer.domain.models import HealthCheckEvent

from billing.database import Connection, Pool, connect
from billing.partitions.ensure import ensure
from billing.upkeep import scheduler as scheduler_module
from billing.upkeep.jobs import Job, enqueue
from billing.upkeep.scheduler import Scheduler

FUTURE = datetime(2041, 5, 6, tzinfo=UTC)
PARTITIONS = [
    f"{table}_2041_{month:02}"
    for table in ("ledger_postings", "usage_records")
    for month in (5, 6, 7, 8)
]


@asynccontextmanager
async def running(*pools: Pool) -> AsyncGenerator[None]:
    """Run a scheduler on each pool; at the end they stop when they are told to."""
    stop = asyncio.Event()
    tasks = [asyncio.create_task(Scheduler(pool, lambda: FUTURE).run(stop)) for pool in pools]
    try:
        yield
    finally:
        stop.set()
        await asyncio.wait_for(asyncio.gather(*tasks), 15)


async def outcomes(conn: Connection, *, until: str, within_seconds: float = 30) -> list[str]:
    """What happened to jobs, in order, once `until` has happened."""
    async with asyncio.timeout(within_seconds):
        while True:
            rows = await conn.fetch("SELECT status::text FROM pgqueuer_log ORDER BY id")
            if any(row[0] == until for row in rows):
                return [row[0] for row in rows]
            await asyncio.sleep(0.05)  # nothing tells of the library's log


async def made(conn: Connection) -> list[str]:
    rows = await conn.fetch(
        "SELECT inhrelid::regclass::text FROM pg_inherits"
        " WHERE inhrelid::regclass::text ~ '_2041_[0-9]{2}$' ORDER BY 1"
    )
    return [row[0] for row in rows]


async def test_a_job_is_done(pool: Pool) -> None:
    async with pool.acquire() as conn, running(pool):
        await enqueue(conn, Job.PARTITIONS)
        await outcomes(conn, until="successful")
        assert await made(conn) == PARTITIONS


async def test_a_day_that_was_missed_is_made_up_for_once(pool: Pool, database_url: str) -> None:
    others = [await connect(database_url, size=4) for _ in range(2)]
    async with pool.acquire() as conn:
        await conn.execute(
            "INSERT INTO pgqueuer_schedules (expression, entrypoint, next_run)"
            " VALUES ($1, 'daily', now() - interval '3 days')",
            scheduler_module.DAILY,
        )
        async with running(pool, *others):
            assert await outcomes(conn, until="successful") == ["queued", "picked", "successful"]
            assert await made(conn) == PARTITIONS
        row = await conn.fetchrow(
            "SELECT last_run, next_run, status FROM pgqueuer_schedules WHERE entrypoint = 'daily'"
        )
        assert row is not None
        assert row["status"] == "queued"
        assert timedelta(0) < row["next_run"] - row["last_run"] <= timedelta(days=1)
        assert (row["next_run"].hour, row["next_run"].minute) == (3, 20)
        assert await conn.fetchval("SELECT count(*) FROM pgqueuer_log") == 3
    for other in others:
        await other.close()


async def test_a_job_that_fails_is_tried_again(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheduler_module, "FIRST_RETRY_SECONDS", 0.2)
    async with pool.acquire() as conn:
        await conn.execute("SET ROLE NONE")
        await conn.execute("ALTER FUNCTION ensure_partitions RENAME TO hidden")
        async with running(pool):
            await enqueue(conn, Job.PARTITIONS)
            async with asyncio.timeout(30):
                while await conn.fetchval("SELECT max(attempts) FROM pgqueuer") != 2:
                    await asyncio.sleep(0.05)
            await conn.execute("ALTER FUNCTION hidden RENAME TO ensure_partitions")
            await outcomes(conn, until="successful")
        assert await made(conn) == PARTITIONS


async def test_a_job_that_goes_on_failing_is_held(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scheduler_module, "FIRST_RETRY_SECONDS", 0.05)
    monkeypatch.setattr(scheduler_module, "MAX_ATTEMPTS", 2)
    async with pool.acquire() as conn:
        await conn.execute("SET ROLE NONE")
        await conn.execute("DROP FUNCTION ensure_partitions")
        async with running(pool):
            await enqueue(conn, Job.PARTITIONS)
            await outcomes(conn, until="failed")
        assert await conn.fetchval("SELECT status::text FROM pgqueuer") == "failed"


async def test_it_goes_on_after_its_connections_were_lost(pool: Pool, database_url: str) -> None:
    conn = await asyncpg.connect(database_url)
    async with running(pool):
        await enqueue(conn, Job.PARTITIONS, key="before")
        await outcomes(conn, until="successful")
        await conn.execute("TRUNCATE pgqueuer_log")
        await conn.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        await enqueue(conn, Job.PARTITIONS, key="after")
        await outcomes(conn, until="successful")
    await conn.close()


async def test_a_job_of_a_scheduler_that_was_killed_is_done_by_another(
    pool: Pool, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scheduler_module, "HEARTBEAT_SECONDS", 2)
    program = (
        "import asyncio, sys\n"
        "from tests.billing.upkeep.test_scheduler import run_for_ever\n"
        "asyncio.run(run_for_ever(sys.argv[1]))"
    )
    async with pool.acquire() as conn, pool.acquire() as blocker:
        blocking = blocker.transaction()
        await blocking.start()
        await ensure(blocker, FUTURE, 3)  # the other one waits for this
        await enqueue(conn, Job.PARTITIONS)
        victim = subprocess.Popen([sys.executable, "-c", program, database_url])
        await outcomes(conn, until="picked")
        os.kill(victim.pid, signal.SIGKILL)
        victim.wait()
        await blocking.rollback()
        async with running(pool):
            assert await outcomes(conn, until="successful") == [
                "queued",
                "picked",
                "picked",
                "successful",
            ]
        assert await made(conn) == PARTITIONS


async def run_for_ever(url: str) -> None:
    async with await connect(url, size=4) as pool:
        await Scheduler(pool, lambda: FUTURE).run(asyncio.Event())


async def test_an_idle_scheduler_stops_at_once(pool: Pool) -> None:
    async with asyncio.timeout(5), running(pool):
        await asyncio.sleep(0)


def test_its_listener_hears_from_the_beginning_under_uvloop(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An idle scheduler whose first probe is not heard is taken for deaf, and begins anew."""
    heard: list[bool] = []
    probe = QueueManager.listener_healthy

    async def watched(manager: QueueManager, timeout: timedelta) -> HealthCheckEvent:
        assert timeout > timedelta(seconds=1)
        try:
            answer = await probe(manager, timedelta(seconds=1))
        except FailingListenerError:
            heard.append(False)
            raise
        heard.append(True)
        return answer

    async def started(url: str) -> None:
        async with await connect(url, size=4) as pool, running(pool), asyncio.timeout(10):
            before = len(heard)
            while len(heard) == before:
                await asyncio.sleep(0.01)

    monkeypatch.setattr(QueueManager, "listener_healthy", watched)
    for _ in range(3):
        uvloop.run(started(database_url))
    assert heard == [True] * 3
