"""The trail of changes: telling it who makes them, and reading it."""

from datetime import datetime

import msgspec

from billing.database import Connection
from billing.statements import load

SQL = load(__package__, "queries.sql")


class Origin(msgspec.Struct, frozen=True):
    """Who makes a change, from where (an address, a host), and on which request."""

    actor: str
    source: str = ""
    request_id: str = ""


class AuditEvent(msgspec.Struct, frozen=True):
    """One change of one row: the columns that changed, before (None: it was not there) and after.

    `subject` is the table, `subject_id` its key. Secrets and personal data are "(not shown)".
    """

    event_id: int
    at: datetime
    actor: str
    source: str
    request_id: str
    action: str
    subject: str
    subject_id: str
    before: msgspec.Raw | None
    after: msgspec.Raw | None


async def set_origin(conn: Connection, origin: Origin) -> None:
    """Say who makes the changes of the open transaction. Without it: the database's user."""
    assert conn.is_in_transaction()
    await conn.execute(SQL["set_origin"], origin.actor, origin.source, origin.request_id)


async def list_(
    conn: Connection,
    *,
    before: int | None = None,
    subject: str | None = None,
    subject_id: str | None = None,
    actor: str | None = None,
    request_id: str | None = None,
    limit: int = 100,
) -> list[AuditEvent]:
    """Return the last events that fit, newest first; `before` is the last id already known."""
    rows = await conn.fetch(SQL["list"], before, subject, subject_id, actor, request_id, limit)
    return [
        AuditEvent(
            event_id=row["event_id"],
            at=row["at"],
            actor=row["actor"],
            source=row["source"],
            request_id=row["request_id"],
            action=row["action"],
            subject=row["subject"],
            subject_id=row["subject_id"],
            before=None if row["before"] is None else msgspec.Raw(row["before"]),
            after=None if row["after"] is None else msgspec.Raw(row["after"]),
        )
        for row in rows
    ]
