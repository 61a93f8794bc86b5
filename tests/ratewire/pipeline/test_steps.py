"""What is booked for a record, from what was found: sessions, charges, grants, deadlines."""

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from balances import entries
from balances.entries import Anomaly, Closed, Entry, Opened, Reopened, Unrated, Used
from balances.messages import (
    CutCause,
    Found,
    Step,
    StoredSession,
    Subscriber,
    decode_state,
)
from radius.records import AccountingRecord, AcctStatus, SessionIdentity
from ratewire.pipeline.credit import Credit
from ratewire.pipeline.plans import Plans, encode_plan, published_name
from ratewire.pipeline.progress import stored_from_archive
from ratewire.pipeline.steps import (
    Booking,
    Deferred,
    Missing,
    Rater,
    Terms,
    Unclear,
)
from rating.quantity import Counters
from rating.usage import Phase
from tests.ratewire.records import METERED, NOW, NOW_MS, PLANS, account, record, stored

KEY = "pop1/bras|s1"
UID = bytes(range(16))
START, STOP, INTERIM = AcctStatus.START, AcctStatus.STOP, AcctStatus.INTERIM

RATER = Rater(PLANS, Terms(), new_uid=lambda: UID, wraps_32=lambda client: client == "old")
STRANGER = Found(None, None)


def known_user(plan: str = "metered", balance: int = 5_000_000) -> Found:
    """No session yet, but the user name is known."""
    return Found(None, None, Subscriber("acme", plan), account(balance))


def advance(
    found: Found,
    *records: AccountingRecord,
    boot: int | None = None,
    credit: Credit | None = None,
    archived: bool = False,
) -> Booking | Missing | Unclear | Deferred:
    return RATER.advance(
        KEY,
        records,
        found,
        boot=boot,
        credit=credit or Credit(),
        archived=archived,
        now_ms=NOW_MS,
    )


def booked(found: Found, *records: AccountingRecord, boot: int | None = None) -> Booking:
    outcome = advance(found, *records, boot=boot)
    assert isinstance(outcome, Booking)
    return outcome


def step_of(booking: Booking) -> Step:
    assert booking.step is not None
    return booking.step


def decoded(packed: Sequence[bytes]) -> list[Entry]:
    return [entries.decode(each) for each in packed]


def after(booking: Booking, **changes: Any) -> Found:
    """What the store holds once a booking is committed."""
    step = step_of(booking)
    session = stored(step.state, uid=step.uid, held=step.grant, open=step.open, **changes)
    owner = account(5_000_000 - step.charge, reserved=step.grant)
    return Found(session, owner, Subscriber("acme", "metered"), owner)


def test_a_start_opens_a_session_with_a_first_slice() -> None:
    booking = booked(known_user(), record(START))
    step = step_of(booking)
    assert booking.findings == ("opened",)
    assert (step.expected_version, step.expected_rating, step.open) == (0, 1, True)
    assert step.charge == 0
    assert step.want == step.grant == 40_000  # twice 10 MB at EUR 2 a GB
    assert step.cut_after_ms is None
    [opened] = decoded(step.entries)
    assert isinstance(opened, Opened)
    assert (opened.session, opened.nas, opened.acct_session_id) == (KEY, "pop1/bras", "s1")
    assert (opened.username, opened.plan, opened.plan_version) == ("bob", "metered", 1)
    identity = msgspec.msgpack.decode(opened.identity, type=SessionIdentity)
    assert identity.user_name_raw == b"bob"


def test_an_interim_charges_what_it_adds() -> None:
    opened = after(booked(known_user(), record(START, event_time=NOW - 60)))
    booking = booked(opened, record(INTERIM, 60, 10**9, 0))
    step = step_of(booking)
    assert step.charge == 2_000_000
    assert step.expected_version == 7
    [used] = decoded(step.entries)
    assert isinstance(used, Used)
    assert used.usage == used.used == Counters(60, 10**9)
    assert used.total_micros == 2_000_000


def test_a_stop_closes_and_gives_back_what_was_held() -> None:
    opened = after(booked(known_user(), record(START, event_time=NOW - 60)))
    step = step_of(booked(opened, record(STOP, 60, 1000, 0, terminate_cause=1)))
    assert (step.open, step.want, step.grant, step.charge) == (False, 0, 0, 2)
    used, closed = decoded(step.entries)
    assert isinstance(used, Used)
    assert isinstance(closed, Closed)
    assert (closed.reason, closed.terminate_cause, closed.total_micros) == ("stop", 1, 2)


def test_records_of_one_batch_become_one_step_in_order() -> None:
    begun = NOW - 120
    booking = booked(
        known_user(),
        record(START, event_time=begun),
        record(INTERIM, 60, 1000, 0, event_time=begun + 60),
        record(STOP, 120, 3000, 0, event_time=begun + 120),
    )
    kinds = [type(each) for each in decoded(step_of(booking).entries)]
    assert kinds == [Opened, Used, Used, Closed]
    assert booking.done == 3
    assert step_of(booking).charge == 6


def test_a_duplicate_needs_no_step() -> None:
    found = after(booked(known_user(), record(START, event_time=NOW - 60)))
    found = after(booked(found, record(INTERIM, 60, 1000, 0)))
    assert booked(found, record(INTERIM, 60, 1000, 0)) == Booking(1, ("nothing",))


@pytest.mark.parametrize(
    ("found", "changes", "reason"),
    [
        (STRANGER, {}, "unknown_user"),
        (known_user(), {"user_name": None}, "no_user"),
        (known_user("gone"), {}, "unknown_plan"),
        (Found(None, None, Subscriber("acme", "metered")), {}, "no_account"),
        (
            Found(None, None, Subscriber("acme", "metered"), account(currency="USD")),
            {},
            "other_currency",
        ),
        (known_user(), {"event_time": NOW - 8 * 86_400}, "too_old"),
    ],
)
def test_what_cannot_be_rated_is_kept_for_staff(
    found: Found, changes: dict[str, Any], reason: str
) -> None:
    booking = booked(found, record(START, **changes))
    assert booking.step is None
    assert booking.done == 1
    [kept] = decoded(booking.loose)
    assert isinstance(kept, Unrated)
    assert kept.reason == reason
    assert (kept.nas, kept.acct_session_id, kept.client) == ("pop1/bras", "s1", "pop1")


def test_an_interim_of_an_unknown_session_is_looked_up_before_it_is_a_lost_start() -> None:
    interim = record(INTERIM, 600, 10_000, 0)
    assert advance(known_user(), interim) == Missing()
    outcome = advance(known_user(), interim, archived=True)
    assert isinstance(outcome, Booking)
    assert step_of(outcome).charge == 20
    opened, _ = decoded(step_of(outcome).entries)
    assert isinstance(opened, Opened)
    assert opened.started == NOW - 600


def test_a_session_from_the_archive_goes_on_where_it_was() -> None:
    opened = after(booked(known_user(), record(START, event_time=NOW - 600)))
    charged = after(booked(opened, record(INTERIM, 300, 5_000, 0, event_time=NOW - 300)))
    assert charged.session is not None
    archived = stored_from_archive(
        charged.session.uid, "acme", decode_state(charged.session.state), is_open=True
    )
    found = Found(archived, account(), Subscriber("acme", "metered"), account())
    outcome = advance(found, record(INTERIM, 600, 10_000, 0), archived=True)
    assert isinstance(outcome, Booking)
    step = step_of(outcome)
    assert step.charge == 10
    assert step.expected_version == 0
    assert [type(each) for each in decoded(step.entries)] == [Used]


def test_the_last_slice_has_a_deadline() -> None:
    """EUR 0.60 an hour and 100 s worth of credit: cut 100 s from now, to the second."""
    step = step_of(booked(known_user("hourly", balance=16_667), record(START)))
    assert step.grant == 16_667
    assert step.want > step.grant
    assert step.cut_after_ms == 100_000
    assert step.cut_cause is CutCause.EXHAUSTED


def test_the_deadline_counts_from_when_the_record_was_made() -> None:
    late = record(START, arrived_ms=NOW_MS - 2_000, attributes={41: (3).to_bytes(4)})
    step = step_of(booked(known_user("hourly", balance=16_667), late))
    assert step.cut_after_ms == 95_000


def test_a_wrong_clock_on_the_nas_moves_no_deadline() -> None:
    slow = record(START, event_time=NOW - 3600)
    assert step_of(booked(known_user("hourly", balance=16_667), slow)).cut_after_ms == 100_000


def test_a_session_without_credit_is_cut_at_once() -> None:
    step = step_of(booked(known_user(balance=0), record(START)))
    assert (step.grant, step.cut_after_ms) == (0, 0)


def test_a_suspended_account_is_cut_whatever_its_credit() -> None:
    owner = account(suspended=True)
    step = step_of(booked(Found(None, None, Subscriber("acme", "metered"), owner), record(START)))
    assert (step.grant, step.cut_after_ms, step.cut_cause) == (0, 0, CutCause.SUSPENDED)


def test_a_session_below_the_minimum_credit_stays_to_be_cut_until_there_is_that_much() -> None:
    """Whatever it reports, and whatever less comes in; once admitted it uses the last micro."""
    picky = msgspec.structs.replace(METERED, minimum_credit_micros=1_000_000)
    rater = Rater(
        Plans(1, {published_name(picky): encode_plan(picky)}),
        Terms(),
        new_uid=lambda: UID,
        wraps_32=lambda client: False,
    )

    def advanced(found: Found, told: AccountingRecord) -> Booking:
        outcome = rater.advance(
            KEY, [told], found, boot=None, credit=Credit(), archived=False, now_ms=NOW_MS
        )
        assert isinstance(outcome, Booking)
        return outcome

    def regranted(found: Found) -> Step:
        step = rater.regrant(KEY, "pop1/bras", found, boot=None, credit=Credit(), now_ms=NOW_MS)
        assert isinstance(step, Step)
        return step

    poor = msgspec.structs.replace(known_user(), subscriber_account=account(999_999))
    booking = advanced(poor, record(START, event_time=NOW - 60))
    step = step_of(booking)
    assert (step.grant, step.cut_after_ms, step.least) == (0, 0, 1_000_000)
    refused = msgspec.structs.replace(after(booking), account=account(999_999))
    step = step_of(advanced(refused, record(INTERIM, 60, 1000, 0)))
    assert (step.charge, step.grant, step.cut_after_ms, step.least) == (2, 0, 0, 1_000_000)
    step = regranted(refused)
    assert (step.grant, step.cut_after_ms, step.least) == (0, 0, 1_000_000)

    step = regranted(msgspec.structs.replace(refused, account=account(1_000_000)))
    assert (step.grant, step.cut_after_ms, step.least) == (40_000, None, 0)
    admitted = Found(stored(step.state, held=40_000), account(40_000, reserved=40_000))
    step = step_of(advanced(admitted, record(INTERIM, 60, 10_000_000, 0)))
    assert (step.charge, step.grant, step.least) == (20_000, 20_000, 0)
    assert step.cut_after_ms is not None
    assert step.cut_after_ms > 0


def test_siblings_of_one_batch_share_what_there_is() -> None:
    credit = Credit()
    grants: list[int] = []
    for key in ("one", "two"):
        outcome = RATER.advance(
            key,
            [record(START)],
            known_user(balance=50_000),
            boot=None,
            credit=credit,
            archived=False,
            now_ms=NOW_MS,
        )
        assert isinstance(outcome, Booking)
        grants.append(step_of(outcome).grant)
    assert grants == [40_000, 10_000]


def test_a_session_that_began_again_is_closed_first_and_its_record_tried_again() -> None:
    opened = after(booked(known_user(), record(START, event_time=NOW - 600)))
    boot = NOW - 100
    again = record(START, event_time=NOW - 50)
    booking = booked(opened, again, boot=boot)
    assert booking.done == 0
    [closed] = decoded(step_of(booking).entries)
    assert isinstance(closed, Closed)
    assert closed.reason == "restarted"
    second = booked(after(booking), again, boot=boot)
    assert second.findings == ("restarted",)
    [opened_again] = decoded(step_of(second).entries)
    assert isinstance(opened_again, Opened)
    assert opened_again.epoch == 1
    assert step_of(second).expected_version == 7


def test_a_restart_that_two_reports_agree_on_goes_the_same_way() -> None:
    found = after(booked(known_user(), record(START, event_time=NOW - 6000)))
    found = after(booked(found, record(INTERIM, 3000, 9000, 0, event_time=NOW - 3000)))
    suspect = booked(found, record(INTERIM, 10, 1000, 0, event_time=NOW - 60))
    [anomaly] = decoded(step_of(suspect).entries)
    assert isinstance(anomaly, Anomaly)
    assert anomaly.code == "restart_suspected"
    confirming = record(INTERIM, 70, 2000, 0)
    closing = booked(after(suspect), confirming)
    assert closing.done == 0
    final = booked(after(closing), confirming)
    assert final.findings == ("restarted",)
    assert step_of(final).charge == 4


def test_a_lost_session_that_reports_is_opened_again() -> None:
    opened = after(booked(known_user(), record(START, event_time=NOW - 6000)))
    given_up = RATER.give_up(
        KEY, "pop1/bras", opened, Phase.LOST, boot=None, credit=Credit(), now_ms=NOW_MS
    )
    assert isinstance(given_up, Step)
    [closed] = decoded(given_up.entries)
    assert isinstance(closed, Closed)
    assert (closed.reason, given_up.open, given_up.report) == ("lost", False, False)
    back = booked(after(Booking(0, (), given_up)), record(INTERIM, 6000, 1000, 0))
    assert step_of(back).open
    assert [type(each) for each in decoded(step_of(back).entries)] == [Used, Reopened]


def test_a_session_is_granted_anew_without_a_record() -> None:
    begun = booked(known_user("hourly", balance=16_667), record(START))
    step = step_of(begun)
    session = stored(step.state, held=16_667, regrant=True)
    richer = Found(session, account(5_000_000, reserved=16_667))
    fresh = RATER.regrant(
        KEY, "pop1/bras", richer, boot=None, credit=Credit(), now_ms=NOW_MS + 1000
    )
    assert isinstance(fresh, Step)
    assert fresh.grant == fresh.want
    assert fresh.cut_after_ms is None
    assert (fresh.charge, fresh.entries, fresh.report) == (0, (), False)


def test_a_counter_that_fell_leaves_an_anomaly_and_the_rest_is_charged() -> None:
    found = after(booked(known_user("hourly"), record(START, event_time=NOW - 120)))
    found = after(booked(found, record(INTERIM, 60, 9000, 0, event_time=NOW - 60)))
    step = step_of(booked(found, record(INTERIM, 120, 10, 0)))
    assert step.charge == 10_000
    used, anomaly = decoded(step.entries)
    assert isinstance(used, Used)
    assert isinstance(anomaly, Anomaly)
    assert anomaly.code == "counter_fell"


def test_a_record_of_an_earlier_epoch_only_leaves_an_anomaly() -> None:
    found = after(booked(known_user(), record(START, event_time=NOW - 9000)))
    found = after(booked(found, record(STOP, 60, 10, 0, event_time=NOW - 8940)))
    found = after(booked(found, record(START, event_time=NOW - 100)))
    booking = booked(found, record(STOP, 8000, 10**9, 0, event_time=NOW - 1000))
    assert booking.step is None
    [anomaly] = decoded(booking.loose)
    assert isinstance(anomaly, Anomaly)
    assert anomaly.code == "earlier_epoch"


def test_without_its_plan_version_a_session_is_deferred() -> None:
    found = after(booked(known_user(), record(START)))
    blind = Rater(type(PLANS)(), Terms(), new_uid=lambda: UID, wraps_32=lambda _: False)
    outcome = blind.advance(
        KEY,
        [record(INTERIM, 60, 1, 1)],
        found,
        boot=None,
        credit=Credit(),
        archived=False,
        now_ms=NOW_MS,
    )
    assert outcome == Deferred("plan_version_missing")


def test_a_state_that_is_not_understood_is_deferred() -> None:
    found = Found(stored(b"\xc1"), account())
    assert advance(found, record(INTERIM, 60, 1, 1)) == Deferred("state_not_understood")


def test_only_the_subscriber_of_the_first_record_was_looked_up() -> None:
    """Somebody else's record waits for the next attempt, whose first it is."""
    found = after(booked(known_user(), record(START, event_time=NOW - 60)))
    found = after(booked(found, record(STOP, 60, 10, 0, event_time=NOW - 30)))
    stop, start = record(STOP, 60, 10, 0, event_time=NOW - 30), record(START, user_name="eve")
    assert booked(found, stop, start) == Booking(1, ("nothing",))
    assert booked(found, start).findings == ("restarted",)


def test_records_beyond_what_a_step_can_take_wait_for_the_next() -> None:
    records = [record(START, event_time=NOW - 300)]
    records += [record(INTERIM, n, 0, 1000 * n, event_time=NOW - 300 + n) for n in range(1, 300)]
    booking = booked(known_user(), *records)
    assert 240 < booking.done < 255
    rest = booked(after(booking), *records[booking.done :])
    assert booking.done + rest.done == 300
    assert step_of(booking).charge + step_of(rest).charge == 2 * 299


def test_a_session_knows_nothing_of_the_store() -> None:
    """The state survives its packing: what is folded next depends on nothing else."""
    step = step_of(booked(known_user(), record(START)))
    state = decode_state(step.state)
    assert state.reported_ms == NOW_MS
    assert state.meter.started == NOW
    assert isinstance(stored(step.state), StoredSession)
