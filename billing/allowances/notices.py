"""What was noticed of allowances: that one came to a threshold of its plan."""

from datetime import datetime

import msgspec

from billing.database import Connection
from billing.statements import load

SQL = load(__package__, "queries.sql")


class AllowanceNotice(msgspec.Struct, frozen=True):
    """An allowance that came to a threshold: `remaining` of `amount` units were left.

    `since` is when its period began: in it the threshold is noticed once. `owner` is the user name
    whose allowance it is, None for the account's; `username` whose usage did it.
    """

    notice_id: int
    account: str
    plan: str
    username: str
    allowance: str
    owner: str | None
    since: datetime
    unit: str
    amount: int
    threshold: int
    remaining: int
    noticed_at: datetime


async def notices(
    conn: Connection, account: str | None = None, *, limit: int
) -> list[AllowanceNotice]:
    """Return the latest notices of an account, or of all."""
    return [
        AllowanceNotice(
            notice_id=row["notice_id"],
            account=row["account_id"],
            plan=row["plan"],
            username=row["username"],
            allowance=row["allowance"],
            owner=row["owner"] or None,
            since=row["since"],
            unit=row["unit"],
            amount=row["amount"],
            threshold=row["threshold"],
            remaining=row["remaining"],
            noticed_at=row["noticed_at"],
        )
        for row in await conn.fetch(SQL["notices"], account, limit)
    ]
