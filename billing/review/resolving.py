"""Sessions that could not be rated leave the list: rated after all, or written off."""

import enum
from datetime import datetime
from typing import Final

import asyncpg
import msgspec

from billing.database import Connection
from billing.errors import Conflict, InvalidInput, NotFound
from billing.review.listings import UnratedSession, unrated_session
from billing.statements import load

SQL = load(__package__, "queries.sql")

MAX_REASON_OCTETS: Final = 255


class Outcome(enum.StrEnum):
    """How a session left the list."""

    RERATED = "rerated"
    WRITTEN_OFF = "written_off"


class Unresolved(msgspec.Struct, frozen=True):
    """A session on the list; `identity` is the MessagePack of radius.records.SessionIdentity."""

    session: UnratedSession
    identity: bytes


class Resolution(msgspec.Struct, frozen=True):
    """A session that left the list, its last counters, and why it did."""

    resolution_id: int
    nas: str
    acct_session_id: str
    username: str
    unrated_reason: str
    records: int
    event_at: datetime
    seconds: int
    octets_in: int
    octets_out: int
    outcome: Outcome
    reason: str
    actor: str
    resolved_at: datetime


async def get(conn: Connection, nas: str, acct_session_id: str, username: str) -> Unresolved:
    """Return a session that could not be rated. Raises NotFound."""
    row = await conn.fetchrow(SQL["one_unrated"], nas, acct_session_id, username)
    if row is None:
        raise NotFound(
            f"NAS {nas} has no unrated session {acct_session_id!r} of {username!r};"
            " 'ratewire unrated' lists those that there are"
        )
    return Unresolved(unrated_session(row), row["identity"])


async def resolve(
    conn: Connection,
    session: UnratedSession,
    outcome: Outcome,
    *,
    reason: str = "",
    actor: str,
    now: datetime,
) -> None:
    """Take a session off the list as it was read.

    Raises Conflict if it has reported since, or is not on the list any more.
    """
    done = await conn.fetchval(
        SQL["resolve"],
        session.nas,
        session.acct_session_id,
        session.username,
        session.records,
        session.last_at,
        outcome,
        reason,
        actor,
        now,
    )
    if done is None:
        raise Conflict(
            f"session {session.acct_session_id!r} of {session.username!r} has just changed:"
            " read it again"
        )


async def write_off(
    conn: Connection,
    nas: str,
    acct_session_id: str,
    username: str,
    *,
    reason: str,
    actor: str,
    now: datetime,
) -> UnratedSession:
    """Charge a session to nobody, for a reason that is kept. Returns what it had used.

    Should it report again, it is on the list again. Raises InvalidInput, NotFound or Conflict.
    """
    octets = len(reason.encode(errors="replace"))
    if not reason.strip() or not reason.isprintable() or octets > MAX_REASON_OCTETS:
        raise InvalidInput(
            f"a write-off needs a reason: allowed are 1 to {MAX_REASON_OCTETS} printable octets"
        )
    session = (await get(conn, nas, acct_session_id, username)).session
    await resolve(conn, session, Outcome.WRITTEN_OFF, reason=reason, actor=actor, now=now)
    return session


async def resolutions(
    conn: Connection, *, username: str | None = None, limit: int = 100
) -> list[Resolution]:
    """Return what became of sessions, of one user name or of all, newest first."""
    return [_resolution(row) for row in await conn.fetch(SQL["resolutions"], username, limit)]


def _resolution(row: asyncpg.Record) -> Resolution:
    return Resolution(
        resolution_id=row["resolution_id"],
        nas=row["nas"],
        acct_session_id=row["acct_session_id"],
        username=row["username"],
        unrated_reason=row["unrated_reason"],
        records=row["records"],
        event_at=row["event_at"],
        seconds=row["seconds"],
        octets_in=int(row["octets_in"]),
        octets_out=int(row["octets_out"]),
        outcome=Outcome(row["outcome"]),
        reason=row["reason"],
        actor=row["actor"],
        resolved_at=row["resolved_at"],
    )
