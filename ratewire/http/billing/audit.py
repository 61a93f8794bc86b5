"""The trail of changes over HTTP."""

from datetime import datetime
from typing import Any

import msgspec

from billing.audit import trail
from ratewire.http.endpoint import MONEY, Call, Nothing, Page, endpoint


class EventView(msgspec.Struct, frozen=True):
    """One change of one row: what it was before (null: it was not there) and after."""

    id: int
    at: datetime
    actor: str
    source: str
    request_id: str
    action: str
    subject: str
    subject_id: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None


class Trail(msgspec.Struct, frozen=True):
    """Changes, newest first."""

    data: list[EventView]
    next: str | None


class TrailQuery(Page, frozen=True):
    """Which changes; `subject` is the name of a table."""

    subject: str | None = None
    subject_id: str | None = None
    actor: str | None = None
    request_id: str | None = None


async def list_(call: Call[TrailQuery, Nothing]) -> Trail:
    """List changes."""
    query = call.query
    found = await trail.list_(
        call.conn,
        before=query.number(),
        subject=query.subject,
        subject_id=query.subject_id,
        actor=query.actor,
        request_id=query.request_id,
        limit=query.limit + 1,
    )
    page, more = query.cut(found, lambda each: each.event_id)
    views = [
        EventView(
            id=each.event_id,
            at=each.at,
            actor=each.actor,
            source=each.source,
            request_id=each.request_id,
            action=each.action,
            subject=each.subject,
            subject_id=each.subject_id,
            before=_decoded(each.before),
            after=_decoded(each.after),
        )
        for each in page
    ]
    return Trail(views, more)


def _decoded(raw: msgspec.Raw | None) -> dict[str, Any] | None:
    return None if raw is None else msgspec.json.decode(raw, type=dict[str, Any])


ENDPOINTS = (
    endpoint(
        "GET",
        "billing/audit-trail/",
        "List who changed what",
        list_,
        roles=MONEY,
        query=TrailQuery,
        answer=Trail,
    ),
)
