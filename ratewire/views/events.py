"""What happened to enforcement jobs, as people see it."""

from datetime import datetime

import msgspec

from balances.keys import parts_of
from billing.review.listings import EnforcementEvent


class EventView(msgspec.Struct, frozen=True):
    """Something that happened to a job; `session` is the session it was to end or to change."""

    session: str
    account: str
    acct_session_id: str
    nas: str
    action: str
    cause: str
    event: str
    at: datetime
    due_at: datetime
    transmissions: int
    result: str
    error_cause: int


def event_view(event: EnforcementEvent) -> EventView:
    """Return an event as people see it."""
    nas, acct_session_id = parts_of(event.session)
    return EventView(
        session=event.session_uid.hex,
        account=event.account,
        acct_session_id=acct_session_id,
        nas=nas,
        action=event.action,
        cause=event.cause,
        event=event.event,
        at=event.at,
        due_at=event.due_at,
        transmissions=event.attempts,
        result=event.result,
        error_cause=event.error_cause,
    )
