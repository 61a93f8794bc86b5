"""A session while its records are rated: what each of them leaves to be booked."""

from typing import Any

import pytest

from balances import entries
from balances.entries import Anomaly, Closed, Entry, Opened, Reopened, Used
from radius.records import AccountingRecord, AcctStatus
from ratewire.pipeline.progress import (
    Progress,
    counters_of,
    new_state,
    report_of,
    reported_ms,
)
from rating.quantity import Counters
from rating.reservation import Pace
from rating.session import rate
from rating.usage import Kind, Phase
from tests.ratewire.records import METERED, NOW, NOW_MS, account, record

START, STOP, INTERIM = AcctStatus.START, AcctStatus.STOP, AcctStatus.INTERIM


def opened(first: AccountingRecord) -> Progress:
    rated = rate(METERED, None, Pace(300), report_of(first))
    progress = Progress(
        key="pop1/bras|a|b",
        nas=first.nas,
        uid=b"u" * 16,
        account=account(),
        plan=METERED,
        stored=None,
        state=new_state(first, METERED, rated.meter, rated.pace),
    )
    progress.open_with(first, rated, NOW_MS)
    return progress


def advance(progress: Progress, *arguments: Any, **changes: Any) -> None:
    told = record(*arguments, **changes)
    rated = rate(METERED, progress.meter, progress.state.pace, report_of(told))
    progress.advance(told, rated, NOW_MS)


def booked(progress: Progress) -> list[Entry]:
    return [entries.decode(each) for each in progress.entries]


@pytest.mark.parametrize("status", [START, STOP, INTERIM])
def test_a_report_says_what_its_record_says(status: AcctStatus) -> None:
    report = report_of(record(status, 60, None, 7))
    assert report.kind is Kind(status)
    assert (report.event_time, report.seconds) == (NOW, 60)
    assert (report.octets_in, report.octets_out) == (None, 7)


def test_counters_that_were_not_sent_are_shown_as_nothing() -> None:
    assert counters_of(record(STOP)) == Counters(0, 0, 0)
    assert counters_of(record(STOP, 1, 2, 3)) == Counters(1, 2, 3)


def test_a_record_was_made_before_its_delay() -> None:
    assert reported_ms(record(START)) == NOW_MS
    late = record(START, attributes={41: (90).to_bytes(4)})
    assert reported_ms(late) == NOW_MS - 90_000


def test_an_acct_session_id_may_hold_the_sign_that_parts_it_from_its_nas() -> None:
    [entry] = booked(opened(record(START)))
    assert isinstance(entry, Opened)
    assert (entry.session, entry.acct_session_id) == ("pop1/bras|a|b", "a|b")


def test_a_stop_alone_is_a_whole_life() -> None:
    progress = opened(record(STOP, 60, 0, 10**6, terminate_cause=4))
    start, used, closed = booked(progress)
    assert isinstance(start, Opened)
    assert isinstance(used, Used)
    assert isinstance(closed, Closed)
    assert start.started == NOW - 60
    assert closed.terminate_cause == 4
    assert progress.charge == used.charge_micros == closed.total_micros == 2000
    assert progress.held == 0


def test_a_lost_session_that_reports_has_to_be_admitted_again() -> None:
    progress = opened(record(START, event_time=NOW - 60))
    progress.admit(admitted=True)
    progress.give_up(Phase.LOST, NOW_MS)
    assert progress.state.admitted
    advance(progress, INTERIM, 60, 0, 1000)
    assert not progress.state.admitted
    kinds = [type(entry) for entry in booked(progress)]
    assert kinds == [Opened, Closed, Used, Reopened]
    assert progress.meter.phase is Phase.OPEN


def test_a_duplicate_changes_nothing() -> None:
    progress = opened(record(START))
    before, progress.changed = progress.state, False
    advance(progress, START)
    assert not progress.changed
    assert progress.state == before
    assert len(progress.entries) == 1


def test_the_time_of_the_last_report_only_goes_forward() -> None:
    progress = opened(record(START, event_time=NOW - 120))
    advance(progress, INTERIM, 60, 0, 1000, event_time=NOW - 60)
    advance(progress, INTERIM, 61, 0, 2000, attributes={41: (500).to_bytes(4)})
    assert progress.state.reported_ms == NOW_MS


def test_counters_that_cannot_be_are_shown_and_not_charged() -> None:
    progress = opened(record(START, event_time=NOW - 60))
    before = progress.state
    advance(progress, INTERIM, 60, 2**64 - 1, 0)
    assert progress.state == before
    [anomaly] = [entries.decode(each) for each in progress.anomalies]
    assert isinstance(anomaly, Anomaly)
    assert anomaly.code == "implausible_counters"
    assert anomaly.counters == Counters(60, 2**64 - 1, 0)


def test_a_step_has_room_for_one_more_record_until_it_is_full() -> None:
    """The store takes 255 entries a step, and the end of an epoch may add one."""
    progress = opened(record(START, event_time=NOW - 300))
    seconds = 0
    while not progress.full:
        seconds += 1
        advance(progress, INTERIM, seconds, 0, 1000 * seconds, event_time=NOW - 300 + seconds)
    advance(progress, STOP, seconds + 1, 0, 0)
    assert 250 < len(progress.entries) + len(progress.anomalies) <= 255
