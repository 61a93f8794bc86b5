"""Sessions leave the list once, with who did it and why, and only as they were read."""

from datetime import datetime

import asyncpg
import pytest

from balances.messages import Position
from billing.database import Connection
from billing.errors import Conflict, InvalidInput, NotFound
from billing.review import listings, resolving
from billing.review.resolving import Outcome
from billing.settlement.booking import book
from tests.billing.settlement.making import items, stream, unrated

SID, USER = "8000000a", "mallory"


async def listed(conn: Connection, sequence: int = 1) -> str:
    """One report of a session that cannot be rated, settled; returns its NAS."""
    if sequence == 1:
        await conn.execute("INSERT INTO settlement_positions VALUES (0, 1, 0, now())")
    made = stream([items(unrated(SID))], after=sequence - 1)
    assert await book(conn, 0, Position(1, sequence - 1), made) is not None
    return (await listings.unrated(conn))[0].nas


async def test_what_is_written_off_is_kept_with_who_and_why(
    conn: Connection, now: datetime
) -> None:
    nas = await listed(conn)
    gone = await resolving.write_off(conn, nas, SID, USER, reason="a test", actor="eve", now=now)
    assert (gone.seconds, gone.octets_in, gone.octets_out) == (60, 10, 100)
    assert await listings.unrated(conn) == []
    (kept,) = await resolving.resolutions(conn, username=USER)
    assert (kept.outcome, kept.reason, kept.actor) == (Outcome.WRITTEN_OFF, "a test", "eve")
    assert (kept.unrated_reason, kept.octets_out, kept.resolved_at) == ("unknown_user", 100, now)
    assert await resolving.resolutions(conn, username="bob") == []
    with pytest.raises(NotFound, match="no unrated session"):
        await resolving.write_off(conn, nas, SID, USER, reason="again", actor="eve", now=now)


async def test_what_has_reported_since_it_was_read_stays(conn: Connection, now: datetime) -> None:
    nas = await listed(conn)
    read = await resolving.get(conn, nas, SID, USER)
    await listed(conn, sequence=2)
    with pytest.raises(Conflict, match="has just changed"):
        await resolving.resolve(conn, read.session, Outcome.RERATED, actor="eve", now=now)
    (still,) = await listings.unrated(conn)
    assert still.records == 2
    assert await resolving.resolutions(conn) == []


@pytest.mark.parametrize("reason", ["", "  ", "two\nlines", "x" * 256])
async def test_a_write_off_needs_a_reason(conn: Connection, now: datetime, reason: str) -> None:
    nas = await listed(conn)
    with pytest.raises(InvalidInput, match="needs a reason"):
        await resolving.write_off(conn, nas, SID, USER, reason=reason, actor="eve", now=now)
    assert len(await listings.unrated(conn)) == 1


async def test_what_was_resolved_cannot_be_altered(conn: Connection, now: datetime) -> None:
    nas = await listed(conn)
    await resolving.write_off(conn, nas, SID, USER, reason="a test", actor="eve", now=now)
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="permission denied"):
        await conn.execute("DELETE FROM unrated_resolutions")
