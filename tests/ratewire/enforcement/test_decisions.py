"""What a job needs next, from what was seen of its session and its NAS."""

import pytest

from balances.messages import ClaimedJob
from radius.dynauth import Advice, Outcome, Verdict
from ratewire.enforcement.decisions import (
    ALERT_MS,
    CROSSING_MS,
    LONGEST_RETRY_MS,
    PROOF_WAIT_MS,
    RETRY_MS,
    Look,
    Next,
    look_at,
    report_on,
)
from tests.ratewire.records import NOW_MS, stored

SLICE_MS = 375_000


def job(state: str, *, noted_ms: int = NOW_MS, seen_ms: int = NOW_MS) -> ClaimedJob:
    return ClaimedJob("aa", "n|s", "exhausted", state, 1, noted_ms, stored(b"", seen_ms=seen_ms))


@pytest.mark.parametrize("state", ["scheduled", "sending", "refused", "unanswered"])
def test_what_the_nas_has_not_agreed_to_is_sent(state: str) -> None:
    """Also `sending`: an enforcer that was killed left it like that."""
    silent = job(state, seen_ms=NOW_MS - 10 * SLICE_MS)
    assert look_at(silent, NOW_MS, SLICE_MS) == Next(Look.SEND)


@pytest.mark.parametrize("state", ["acknowledged", "gone"])
def test_an_agreement_is_believed_after_a_slice_of_silence(state: str) -> None:
    agreed = job(state)
    assert look_at(agreed, NOW_MS + 1, SLICE_MS) == Next(Look.WAIT, SLICE_MS - 1)
    assert look_at(agreed, NOW_MS + SLICE_MS - 1, SLICE_MS) == Next(Look.WAIT, 1)
    assert look_at(agreed, NOW_MS + SLICE_MS, SLICE_MS) == Next(Look.CLOSE)
    assert look_at(agreed, NOW_MS, 0) == Next(Look.WAIT, PROOF_WAIT_MS)


@pytest.mark.parametrize("state", ["acknowledged", "gone"])
def test_a_report_that_crossed_the_agreement_is_no_sign_of_life(state: str) -> None:
    crossing = job(state, seen_ms=NOW_MS + CROSSING_MS)
    waits = Next(Look.WAIT, SLICE_MS)
    assert look_at(crossing, NOW_MS + CROSSING_MS, SLICE_MS) == waits
    alive = job(state, seen_ms=NOW_MS + CROSSING_MS + 1)
    assert look_at(alive, NOW_MS + CROSSING_MS + 1, SLICE_MS) == Next(Look.SEND)


@pytest.mark.parametrize(
    ("verdict", "follow", "state", "result", "again_ms", "alert"),
    [
        (Verdict(Outcome.ACK, 1), Advice.AWAIT_STOP, "acknowledged", "ack", PROOF_WAIT_MS, False),
        (Verdict(Outcome.NAK, 1, 503), Advice.GONE, "gone", "nak 503", PROOF_WAIT_MS, False),
        (Verdict(Outcome.NAK, 2), Advice.GONE, "gone", "nak", PROOF_WAIT_MS, False),
        (Verdict(Outcome.TIMED_OUT, 5), Advice.RETRY, "unanswered", "timed_out", RETRY_MS, False),
        (Verdict(Outcome.NAK, 1, 506), Advice.RETRY, "unanswered", "nak 506", RETRY_MS, False),
        (
            Verdict(Outcome.UNSENT, 0, detail="no route"),
            Advice.RETRY,
            "unanswered",
            "unsent no route",
            RETRY_MS,
            False,
        ),
        (Verdict(Outcome.NAK, 1, 501), Advice.ALERT, "refused", "nak 501", ALERT_MS, True),
        (Verdict(Outcome.NAK, 1, 404), Advice.NEXT_SET, "refused", "nak 404", ALERT_MS, True),
        (Verdict(Outcome.NAK, 1), Advice.NEXT_SET, "refused", "nak", ALERT_MS, True),
    ],
)
def test_what_is_noted_of_an_exchange(
    verdict: Verdict, follow: Advice, state: str, result: str, again_ms: int, alert: bool
) -> None:
    report = report_on(verdict, follow, attempts=5)
    assert (report.state, report.result) == (state, result)
    assert (report.again_ms, report.alert) == (again_ms, alert)
    assert report.error_cause == (verdict.error_cause or 0)


def test_each_exchange_without_an_answer_doubles_the_time_to_the_next() -> None:
    verdict = Verdict(Outcome.TIMED_OUT, 5)
    waits = [
        report_on(verdict, Advice.RETRY, attempts).again_ms for attempts in (4, 8, 13, 25, 500)
    ]
    assert waits == [RETRY_MS, 2 * RETRY_MS, 4 * RETRY_MS, 16 * RETRY_MS, LONGEST_RETRY_MS]
