"""What is on the road to the store, for staff and for metrics."""

from datetime import datetime

import msgspec

from billing.database import Connection
from billing.statements import load

SQL = load(__package__, "queries.sql")


class Waiting(msgspec.Struct, frozen=True):
    """How many movements the store has not applied, and since when the oldest waits."""

    movements: int
    oldest_at: datetime | None


class Refusal(msgspec.Struct, frozen=True):
    """An account whose movements stand still, and the movement that the store refuses.

    `movements` counts all that wait behind it, itself included; `movement` is its JSON.
    """

    account: str
    sequence: int
    reason: str
    movement: msgspec.Raw
    posted_at: datetime
    movements: int


async def waiting(conn: Connection) -> Waiting:
    """Return how much is on the road."""
    row = await conn.fetchrow(SQL["count_waiting"])
    assert row is not None
    return Waiting(row["movements"], row["oldest_at"])


async def refusals(conn: Connection, *, limit: int = 100) -> list[Refusal]:
    """Return the first `limit` accounts that stand still, by account."""
    return [
        Refusal(
            account=row["account_id"],
            sequence=row["sequence"],
            reason=row["refusal"],
            movement=msgspec.Raw(row["movement"]),
            posted_at=row["created_at"],
            movements=row["movements"],
        )
        for row in await conn.fetch(SQL["refusals"], limit)
    ]
