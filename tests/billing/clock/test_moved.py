"""The billing side's clock is the real one until it is moved, and only goes forward."""

from datetime import datetime, timedelta

import pytest

from billing.clock import moved
from billing.database import Connection
from billing.errors import Conflict


async def test_the_clock_stands_where_it_was_moved(conn: Connection, now: datetime) -> None:
    assert await moved.current(conn, now) == now
    later = now + timedelta(days=400)
    assert await moved.move(conn, later, now) == later
    assert await moved.current(conn, now + timedelta(days=1)) == later
    with pytest.raises(Conflict, match="only goes forward"):
        await moved.move(conn, later - timedelta(seconds=1), now)
    # what is posted then has its place
    assert await conn.fetchval("SELECT to_regclass($1)", f"ledger_postings_{later:%Y_%m}")


async def test_it_cannot_be_moved_into_the_past(conn: Connection, now: datetime) -> None:
    with pytest.raises(Conflict, match="only goes forward"):
        await moved.move(conn, now - timedelta(seconds=1), now)
