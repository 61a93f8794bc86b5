"""What happened to enforcement jobs, as people see it."""

from datetime import UTC, datetime
from uuid import UUID

from billing.review.listings import EnforcementEvent
from ratewire.views.events import event_view

AT = datetime(2026, 3, 14, 15, 9, 26, tzinfo=UTC)


def test_an_event_names_its_session_as_the_nas_does() -> None:
    told = EnforcementEvent(
        session_uid=UUID(int=7),
        session="pop1/a\\x7cb|s|1",
        account="acme",
        cause="exhausted",
        event="refused",
        at=AT,
        due_at=AT,
        attempts=3,
        result="nak 501",
        error_cause=501,
    )
    view = event_view(told)
    assert view.session == UUID(int=7).hex
    assert (view.nas, view.acct_session_id) == ("pop1/a|b", "s|1")
    assert (view.transmissions, view.result, view.error_cause) == (3, "nak 501", 501)
