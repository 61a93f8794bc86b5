"""The durable queue of jobs. A job is enqueued in the transaction that makes it necessary.

PgQueuer is imported where a job is enqueued: with what it brings it takes as long to import as all
of billing, in each process of `serve`, and few of these enqueue anything.
"""

import enum
from collections.abc import Sequence

from billing.database import Connection


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
    from billing.upkeep.queue import queries_on

    [identifier] = await queries_on(conn).enqueue(job, payload, dedupe_key=key, on_conflict="skip")
    return identifier is not None


async def enqueue_many(conn: Connection, job: Job, payloads: Sequence[bytes]) -> None:
    """Enqueue a job for each payload in the transaction of `conn`, as `enqueue` does."""
    if payloads:
        from billing.upkeep.queue import queries_on

        number = len(payloads)
        await queries_on(conn).enqueue([job] * number, list(payloads), [0] * number)
