"""Listings for staff, newest first. All of it can be sent as JSON."""

from datetime import datetime
from uuid import UUID

import asyncpg
import msgspec

from billing.database import Connection
from billing.statements import load

_SQL = load(__package__, "queries.sql")


class UnratedSession(msgspec.Struct, frozen=True):
    """A session whose records could not be rated: how many there were, and the newest of them.

    `reason` is as in balances.entries.Unrated, `kind` an Acct-Status-Type, `client` the NAS client
    it came from. The counters are cumulative, so the newest record says all.
    """

    nas: str
    acct_session_id: str
    username: str
    reason: str
    client: str
    first_at: datetime
    last_at: datetime
    records: int
    kind: int
    event_at: datetime
    seconds: int
    octets_in: int
    octets_out: int


class SessionAnomaly(msgspec.Struct, frozen=True):
    """Something odd about a session that changed no balance: how often, and the last counters.

    `session` and `username` are None if the session is not known here.
    """

    session_uid: UUID
    session: str | None
    username: str | None
    account: str
    code: str
    first_at: datetime
    last_at: datetime
    records: int
    event_at: datetime
    seconds: int
    octets_in: int
    octets_out: int


class ParkedEntry(msgspec.Struct, frozen=True):
    """A settlement entry that could not be booked, and why; `entry` is as it came."""

    parked_at: datetime
    partition: int
    generation: int
    sequence: int
    item: int
    field: bytes
    entry: bytes
    error: str


class EnforcementEvent(msgspec.Struct, frozen=True):
    """Something that happened to an enforcement job; see balances.entries.JobEvent."""

    session_uid: UUID
    session: str
    account: str
    cause: str
    event: str
    at: datetime
    due_at: datetime
    attempts: int
    result: str
    error_cause: int
    action: str = "cut"


class ReviewCounts(msgspec.Struct, frozen=True):
    """How much there is for staff to look at."""

    unrated: int
    anomalies: int
    parked: int


async def unrated(
    conn: Connection, *, username: str | None = None, limit: int = 100
) -> list[UnratedSession]:
    """Return sessions that could not be rated, of one user name or of all."""
    return [unrated_session(row) for row in await conn.fetch(_SQL["unrated"], username, limit)]


def unrated_session(row: asyncpg.Record) -> UnratedSession:
    """Return a row of `unrated_records` as what it is."""
    return UnratedSession(
        nas=row["nas"],
        acct_session_id=row["acct_session_id"],
        username=row["username"],
        reason=row["reason"],
        client=row["client"],
        first_at=row["first_at"],
        last_at=row["last_at"],
        records=row["records"],
        kind=row["kind"],
        event_at=row["event_at"],
        seconds=row["seconds"],
        octets_in=int(row["octets_in"]),
        octets_out=int(row["octets_out"]),
    )


async def anomalies(
    conn: Connection, *, account: str | None = None, limit: int = 100
) -> list[SessionAnomaly]:
    """Return anomalies, of one account or of all."""
    return [
        SessionAnomaly(
            session_uid=row["session_uid"],
            session=row["session_key"],
            username=row["username"],
            account=row["account_id"],
            code=row["code"],
            first_at=row["first_at"],
            last_at=row["last_at"],
            records=row["records"],
            event_at=row["event_at"],
            seconds=int(row["seconds"]),
            octets_in=int(row["octets_in"]),
            octets_out=int(row["octets_out"]),
        )
        for row in await conn.fetch(_SQL["anomalies"], account, limit)
    ]


async def parked(conn: Connection, *, limit: int = 100) -> list[ParkedEntry]:
    """Return settlement entries that could not be booked."""
    return [ParkedEntry(**dict(row)) for row in await conn.fetch(_SQL["parked"], limit)]


async def enforcement(
    conn: Connection, *, session_uid: UUID | None = None, limit: int = 100
) -> list[EnforcementEvent]:
    """Return what happened to enforcement jobs, of one session epoch or of all."""
    return [
        EnforcementEvent(
            session_uid=row["session_uid"],
            session=row["session_key"],
            account=row["account_id"],
            cause=row["cause"],
            event=row["event"],
            at=row["at"],
            due_at=row["due_at"],
            attempts=row["attempts"],
            result=row["result"],
            error_cause=row["error_cause"],
            action=row["action"],
        )
        for row in await conn.fetch(_SQL["enforcement"], session_uid, limit)
    ]


async def counts(conn: Connection) -> ReviewCounts:
    """Return how much there is."""
    row = await conn.fetchrow(_SQL["counts"])
    assert row is not None
    return ReviewCounts(row["unrated"], row["anomalies"], row["parked"])
