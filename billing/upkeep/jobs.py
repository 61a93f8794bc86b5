"""The durable queue of jobs. A job is enqueued in the transaction that makes it necessary."""

import enum
from collections.abc import Sequence
from typing import Final

from pgqueuer import Queries
from pgqueuer.adapters.drivers.asyncpg import AsyncpgDriver
from pgqueuer.adapters.persistence.qb import (
    QueryBuilderEnvironment,
    QueryQueueBuilder,
    QuerySchedulerBuilder,
)
from pgqueuer.domain.settings import DBSettings
from pgqueuer.domain.types import Channel
from pgqueuer.ports.driver import Driver

from billing.database import Connection

# All of them by name: else PgQueuer takes its tables' names from environment variables, and some of
# those are called CHANNEL, FUNCTION or TRIGGER.
SETTINGS: Final = DBSettings(
    prefix="",
    db_schema=None,
    channel=Channel("ch_pgqueuer"),
    function="fn_pgqueuer_changed",
    statistics_table="pgqueuer_statistics",
    queue_status_type="pgqueuer_status",
    queue_table="pgqueuer",
    queue_table_log="pgqueuer_log",
    trigger="tg_pgqueuer_changed",
    schedules_table="pgqueuer_schedules",
)


class Job(enum.StrEnum):
    """What can be enqueued."""

    PARTITIONS = "partitions"
    BILLING = "billing"
    DUNNING = "dunning"
    DEBT = "debt"
    MAIL = "mail"


async def enqueue(
    conn: Connection, job: Job, *, payload: bytes | None = None, key: str | None = None
) -> bool:
    """Enqueue a job in the transaction of `conn`: it is run once that is committed.

    With a key, nothing is done while a job of that key waits or runs; returns whether it was
    enqueued.
    """
    [identifier] = await queries(AsyncpgDriver(conn)).enqueue(  # pyright: ignore[reportArgumentType]  -- a pool's proxy is as good
        job, payload, dedupe_key=key, on_conflict="skip"
    )
    return identifier is not None


async def enqueue_many(conn: Connection, job: Job, payloads: Sequence[bytes]) -> None:
    """Enqueue a job for each payload in the transaction of `conn`, as `enqueue` does."""
    if payloads:
        number = len(payloads)
        await queries(AsyncpgDriver(conn)).enqueue(  # pyright: ignore[reportArgumentType]  -- a pool's proxy is as good
            [job] * number, list(payloads), [0] * number
        )


def queries(driver: Driver) -> Queries:
    """Return PgQueuer's statements, under our names, on a driver."""
    return Queries(
        driver,
        QueryBuilderEnvironment(SETTINGS),
        QueryQueueBuilder(SETTINGS),
        QuerySchedulerBuilder(SETTINGS),
    )
