"""Making partitions. How is in the schema, because a migrated database needs some at once."""

from datetime import datetime

from billing.database import Connection
from billing.statements import load

SQL = load(__package__, "queries.sql")


async def ensure(conn: Connection, now: datetime, ahead: int = 3) -> list[str]:
    """Make the partitions of the current month (UTC) and of `ahead` more, where they are missing.

    Returns the names of those it made. Safe to repeat, and from several processes at once.
    """
    assert ahead >= 0, ahead
    return [row[0] for row in await conn.fetch(SQL["ensure"], now, ahead)]
