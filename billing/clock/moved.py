"""A clock that stands where it was set, for tests and trials of the billing side."""

from datetime import datetime

from billing.database import Connection
from billing.errors import Conflict
from billing.partitions.ensure import ensure
from billing.statements import load

SQL = load(__package__, "queries.sql")

#: Partitions that are made ahead of the moment that it is set to.
_MONTHS_AHEAD = 3


async def current(conn: Connection, real: datetime) -> datetime:
    """Return the time of the billing side: that of the test clock if it is set, else `real`."""
    return await conn.fetchval(SQL["get"]) or real


async def move(conn: Connection, moment: datetime, real: datetime) -> datetime:
    """Set the clock to a moment, forward only. Raises Conflict if that is in its past.

    Going back would date what follows before what was: the books know no such order.
    """
    async with conn.transaction():
        before = await current(conn, real)
        if moment < before:
            raise Conflict(f"the clock stands at {before.isoformat()}: it only goes forward")
        await ensure(conn, moment, _MONTHS_AHEAD)
        await conn.execute(SQL["set"], moment)
    return moment
