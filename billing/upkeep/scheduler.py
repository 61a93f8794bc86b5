"""The scheduler: runs the jobs of the queue, and enqueues what is due by the calendar.

Any number of schedulers may run: a job or a schedule is taken by one of them, and what one takes
and does not finish, because it died, another takes again after HEARTBEAT_SECONDS.
"""

import asyncio
import contextlib
import functools
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Final

import structlog
from pgqueuer import PgQueuer
from pgqueuer.adapters.drivers.asyncpg import AsyncpgPoolDriver
from pgqueuer.domain.errors import FailingListenerError
from pgqueuer.domain.models import Job as QueuedJob
from pgqueuer.domain.models import Schedule
from pgqueuer.executors import DatabaseRetryEntrypointExecutor

from billing.database import Pool, unavailable
from billing.partitions.ensure import ensure
from billing.upkeep.attempts import MAX_ATTEMPTS
from billing.upkeep.billing_jobs import bill_what_is_due, dun_all, look_at_debt
from billing.upkeep.jobs import Job, enqueue
from billing.upkeep.queue import SETTINGS, queries

_log = structlog.get_logger(__name__)

#: Every day at 03:20 UTC. A time that passed while no scheduler ran is made up for at the start.
DAILY: Final = "20 3 * * *"

#: Local days begin on quarters of an hour of UTC, wherever it is.
BILLING: Final = "*/5 * * * *"
DUNNING: Final = "*/15 * * * *"

MONTHS_AHEAD: Final = 3

#: A job whose scheduler gives no sign for so long is taken by another one.
HEARTBEAT_SECONDS: Final = 30

#: How often to look without having been told: a notice can be lost with its connection.
POLL_SECONDS: Final = 5

FIRST_RETRY_SECONDS: Final = 5
LAST_RETRY_SECONDS: Final = 3600

BACK_OFF_SECONDS: Final = (0.5, 1.0, 2.0, 5.0)


#: Sends the queued message of an id, or raises what it is to be tried again for.
Deliver = Callable[[int, datetime], Awaitable[object]]


class Scheduler:
    """Runs jobs and schedules. It keeps one connection of the pool, and needs one more at times."""

    def __init__(
        self, pool: Pool, clock: Callable[[], datetime], deliver: Deliver | None = None
    ) -> None:
        """`clock` returns the current time, with its zone; `deliver` sends the message of an id.

        Without it messages wait.
        """
        self._pool = pool
        self._clock = clock
        self._deliver = deliver

    async def run(self, stop: asyncio.Event) -> None:
        """Run until `stop` is set; jobs that run are finished first.

        Goes on by itself after Postgres was away. Raises only what is a bug.
        """
        failures = 0
        while not stop.is_set():
            started = asyncio.get_running_loop().time()
            try:
                await self._run_once(stop)
            except Exception as error:
                if not _passes_by(error):
                    raise
                if asyncio.get_running_loop().time() - started > 2 * POLL_SECONDS:
                    failures = 0
                if not failures:
                    reason = str(error) or "it hears no notices of Postgres"
                    _log.error("the scheduler fails", kind=type(error).__name__, error=reason)
                pause = BACK_OFF_SECONDS[min(failures, len(BACK_OFF_SECONDS) - 1)]
                failures += 1
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), pause)

    async def _run_once(self, stop: asyncio.Event) -> None:
        driver = AsyncpgPoolDriver(self._pool)
        manager = PgQueuer(driver, SETTINGS.channel, queries=queries(driver))
        self._register(manager)
        stopping = asyncio.create_task(stop.wait())
        stopping.add_done_callback(lambda _: manager.shutdown.set())
        try:
            async with driver:
                # The manager probes whether notices come while it begins to listen, and hears no
                # answer if the probe is faster: so the connection listens before.
                await driver.add_listener(SETTINGS.channel, _ignore)
                await manager.run(
                    dequeue_timeout=timedelta(seconds=POLL_SECONDS),
                    heartbeat_timeout=timedelta(seconds=HEARTBEAT_SECONDS),
                    shutdown_on_listener_failure=True,
                )
        finally:
            stopping.cancel()

    def _register(self, manager: PgQueuer) -> None:
        retrying = functools.partial(
            DatabaseRetryEntrypointExecutor,
            max_attempts=MAX_ATTEMPTS,
            initial_delay=timedelta(seconds=FIRST_RETRY_SECONDS),
            max_delay=timedelta(seconds=LAST_RETRY_SECONDS),
        )

        def enqueuing(job: Job) -> Callable[[Schedule], Awaitable[None]]:
            async def enqueue_it(_schedule: Schedule) -> None:
                # A schedule that fails waits for its next time, a job is tried again: so the
                # schedule does no more than to enqueue.
                async with self._pool.acquire() as conn:
                    await enqueue(conn, job, key=job)

            return enqueue_it

        async def partitions(_job: QueuedJob) -> None:
            async with self._pool.acquire() as conn:
                made = await ensure(conn, self._clock(), MONTHS_AHEAD)
            _log.info("partitions are ahead", made=made)

        async def billing(_job: QueuedJob) -> None:
            await bill_what_is_due(self._pool, self._clock())

        async def dunning(_job: QueuedJob) -> None:
            await dun_all(self._pool, self._clock())

        async def debt(job: QueuedJob) -> None:
            assert job.payload is not None
            await look_at_debt(self._pool, job.payload.decode(), self._clock())

        manager.schedule("daily", DAILY)(enqueuing(Job.PARTITIONS))
        manager.schedule("billing", BILLING)(enqueuing(Job.BILLING))
        manager.schedule("dunning", DUNNING)(enqueuing(Job.DUNNING))
        for job, work in (
            (Job.PARTITIONS, partitions),
            (Job.BILLING, billing),
            (Job.DUNNING, dunning),
            (Job.DEBT, debt),
        ):
            manager.entrypoint(job, executor_factory=retrying, on_failure="hold")(work)
        if self._deliver is not None:
            send = self._deliver

            async def mail(job: QueuedJob) -> None:
                assert job.payload is not None
                await send(int(job.payload), self._clock())

            manager.entrypoint(Job.MAIL, executor_factory=retrying, on_failure="hold")(mail)


def _ignore(_notice: str | bytes | bytearray) -> None:
    """The manager has a listener of its own."""


def _passes_by(error: BaseException) -> bool:
    """Whether the scheduler may go on after an error: Postgres was away, or the listener was."""
    return isinstance(error, FailingListenerError) or unavailable(error)
