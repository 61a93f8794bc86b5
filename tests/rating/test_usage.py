"""Folding: nothing twice, nothing back, and a new epoch only for a reason."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rating.quantity import NOTHING, Counters
from rating.usage import (
    START_TOLERANCE_S,
    Finding,
    Fold,
    Kind,
    Meter,
    Phase,
    Report,
    close,
    fold,
    went_down,
)

BEGUN = 1_700_000_000


def report(
    kind: Kind,
    seconds: int | None,
    octets: int | None = None,
    *,
    begun: int = BEGUN,
    octets_out: int | None = None,
) -> Report:
    """A report at `seconds` into a session that began at `begun`."""
    return Report(kind, begun + (seconds or 0), seconds, octets, octets_out)


def start(begun: int = BEGUN) -> Report:
    return Report(Kind.START, begun)


def interim(seconds: int, octets: int, *, begun: int = BEGUN) -> Report:
    return report(Kind.INTERIM, seconds, octets, begun=begun)


def stop(seconds: int, octets: int, *, begun: int = BEGUN) -> Report:
    return report(Kind.STOP, seconds, octets, begun=begun)


def run(*reports: Report, boot: int | None = None, wraps_32: bool = False) -> list[Fold]:
    """Fold reports one after the other."""
    folds: list[Fold] = []
    meter: Meter | None = None
    for each in reports:
        folds.append(fold(meter, each, boot=boot, wraps_32=wraps_32))
        meter = folds[-1].meter
    return folds


def findings(folds: list[Fold]) -> list[Finding]:
    return [each.finding for each in folds]


def octets_charged(folds: list[Fold]) -> int:
    return sum(each.usage.octets_in for each in folds)


def test_start_interims_and_stop() -> None:
    folds = run(start(), interim(60, 100), interim(120, 250), stop(130, 300))
    assert findings(folds) == ["opened", "advanced", "advanced", "closed"]
    assert [each.usage.octets_in for each in folds] == [0, 100, 150, 50]
    assert folds[-1].meter.phase is Phase.STOPPED
    assert folds[-1].meter.used == Counters(130, 300)


def test_duplicates_and_older_records_change_nothing() -> None:
    folds = run(start(), interim(120, 250), interim(120, 250), interim(60, 100), start())
    assert findings(folds)[2:] == ["nothing"] * 3
    assert folds[-1].meter == folds[1].meter


def test_a_session_whose_first_packet_is_an_interim_is_charged_from_its_beginning() -> None:
    [opened] = run(interim(600, 5000))
    assert opened.usage == Counters(600, 5000)
    assert opened.meter.started == BEGUN


def test_a_stop_alone_opens_and_closes() -> None:
    [only] = run(stop(60, 10))
    assert only.finding is Finding.OPENED
    assert only.meter.phase is Phase.STOPPED
    assert only.usage == Counters(60, 10)


@pytest.mark.parametrize(
    "last", [Report(Kind.STOP, BEGUN + 90), Report(Kind.STOP, BEGUN + 90, 0, 0)]
)
def test_a_stop_without_counters_or_with_zeros_keeps_the_marks_and_closes(last: Report) -> None:
    folds = run(start(), interim(60, 100), last)
    assert folds[-1].finding is Finding.CLOSED
    assert not folds[-1].usage
    assert folds[-1].meter.used == Counters(60, 100)


def test_reports_of_a_suspected_restart_that_cannot_be_confirmed_are_all_there_to_see() -> None:
    """It began before the end of the session before it: the NAS's clock was put back."""
    again = BEGUN + 30
    folds = run(
        start(),
        stop(60, 100),
        interim(20, 5, begun=again),
        interim(40, 9, begun=again),
        interim(40, 9, begun=again),
        interim(40, 10, begun=again),
    )
    assert findings(folds)[2:] == ["suspected", "suspected", "nothing", "suspected"]
    assert [each.fell for each in folds[2:]] == [True, True, False, True]
    assert octets_charged(folds) == 100


def test_a_lone_stop_of_a_later_start_under_a_closed_name_is_no_silent_loss() -> None:
    """The name was used again and the Start is lost: nothing is charged, and it is there to see."""
    folds = run(start(), stop(60, 100), stop(30, 90, begun=BEGUN + 300))
    assert folds[-1].finding is Finding.NOTHING
    assert folds[-1].fell
    assert not folds[-1].usage
    assert folds[-1].meter == folds[-2].meter


def test_an_interim_after_the_stop_charges_what_is_more_and_stays_closed() -> None:
    folds = run(start(), stop(60, 100), interim(60, 100), interim(61, 130))
    assert findings(folds)[2:] == ["nothing", "advanced"]
    assert folds[-1].meter.phase is Phase.STOPPED
    assert octets_charged(folds) == 130


def test_a_start_after_the_stop_begins_a_new_epoch() -> None:
    again = BEGUN + 1000
    folds = run(start(), stop(60, 100), start(again), interim(60, 40, begun=again))
    assert findings(folds)[2:] == ["restarted", "advanced"]
    assert folds[-1].meter.epoch == 1
    assert octets_charged(folds) == 140


def test_a_start_resent_after_the_stop_does_not() -> None:
    folds = run(start(), stop(60, 100), start())
    assert folds[-1].finding is Finding.NOTHING


def test_an_accounting_on_lets_the_id_be_used_again() -> None:
    boot = BEGUN + 500
    folds = run(start(), interim(60, 100))
    after = fold(folds[-1].meter, interim(30, 70, begun=boot + 5), boot=boot, wraps_32=False)
    assert after.finding is Finding.RESTARTED
    assert after.usage == Counters(30, 70)
    assert went_down(folds[-1].meter, boot)


def test_a_clock_that_goes_back_and_forth_does_not_begin_a_session_of_after_the_boot_anew() -> None:
    boot = BEGUN - 1
    folds = run(
        start(),
        interim(60, 100, begun=BEGUN - 100),
        interim(120, 250),
        boot=boot,
    )
    assert findings(folds) == ["opened", "advanced", "advanced"]
    assert octets_charged(folds) == 250


def test_an_accounting_on_that_came_late_does_not_charge_a_young_session_twice() -> None:
    """Without Event-Timestamp a start is derived from the arrival, a second or two off."""
    boot = BEGUN + 1
    folds = run(start(), interim(60, 100), boot=boot)
    after = fold(folds[-1].meter, stop(61, 130, begun=BEGUN + 2), boot=boot, wraps_32=False)
    assert after.finding is Finding.CLOSED
    assert after.usage == Counters(1, 30)


def test_a_session_reported_after_the_accounting_on_survived_it() -> None:
    boot = BEGUN + 90
    meter = run(start(), interim(60, 100))[-1].meter
    closed = close(meter, Phase.NAS_DOWN)
    late = fold(closed, interim(80, 150), boot=boot, wraps_32=False)
    assert late.meter.phase is Phase.NAS_DOWN
    assert late.usage.octets_in == 50
    alive = fold(late.meter, interim(120, 200), boot=boot, wraps_32=False)
    assert alive.meter.phase is Phase.OPEN
    assert not went_down(alive.meter, boot)


def test_two_reports_that_agree_on_a_later_start_begin_a_new_epoch() -> None:
    again = BEGUN + 3000
    folds = run(
        start(), interim(1200, 9000), interim(10, 5, begun=again), interim(70, 50, begun=again)
    )
    assert findings(folds)[2:] == ["suspected", "restarted"]
    assert folds[2].fell
    assert octets_charged(folds) == 9050


def test_one_such_report_alone_does_not_nor_does_it_twice() -> None:
    once = interim(10, 5, begun=BEGUN + 3000)
    folds = run(start(), interim(1200, 9000), once, once, interim(1260, 9100))
    assert findings(folds)[2:] == ["suspected", "nothing", "advanced"]
    assert octets_charged(folds) == 9100
    assert folds[-1].meter.suspect is None


def test_a_counter_that_did_not_fall_goes_on_through_a_restart() -> None:
    """Session time began again, the octets went on: they must not be charged twice."""
    again = BEGUN + 3000
    folds = run(
        start(), interim(1200, 9000), interim(10, 9100, begun=again), interim(70, 9500, begun=again)
    )
    assert folds[-1].finding is Finding.RESTARTED
    assert octets_charged(folds) == 9500
    assert folds[-1].meter.used == Counters(70, 500)


def test_a_fall_of_one_counter_charges_nothing_for_it_and_is_told() -> None:
    folds = run(start(), interim(60, 9000), interim(120, 10))
    assert folds[-1].usage == Counters(60)
    assert folds[-1].fell


def test_a_late_record_of_an_earlier_epoch_charges_nothing() -> None:
    again = BEGUN + 10_000
    folds = run(start(), stop(60, 100), start(again), stop(9000, 10**9))
    assert folds[-1].finding is Finding.EARLIER_EPOCH
    assert octets_charged(folds) == 100


def test_gigawords_cross_2_32() -> None:
    folds = run(start(), interim(60, 2**32 - 5), interim(120, 2**32 + 10))
    assert folds[-1].usage.octets_in == 15


def test_32_bit_counters_wrap_only_where_the_nas_is_known_to_have_them() -> None:
    reports = (start(), interim(60, 2**32 - 5), interim(120, 10), interim(180, 5), interim(180, 5))
    wrapping = run(*reports, wraps_32=True)
    assert octets_charged(wrapping) == 2**33 + 5
    plain = run(*reports)
    assert octets_charged(plain) == 2**32 - 5


def test_an_old_record_is_no_wrap() -> None:
    folds = run(start(), interim(120, 500), interim(60, 200), wraps_32=True)
    assert folds[-1].finding is Finding.NOTHING


def test_a_lost_session_that_reports_again_lives() -> None:
    meter = close(run(start(), interim(60, 100))[-1].meter, Phase.LOST)
    back = fold(meter, interim(4000, 700), boot=None, wraps_32=False)
    assert back.meter.phase is Phase.OPEN
    assert back.usage.octets_in == 600


history = st.lists(
    st.tuples(st.integers(1, 300), st.integers(0, 2**34), st.integers(0, 2**34)),
    min_size=1,
    max_size=12,
)


@st.composite
def delivered(draw: st.DrawFn) -> tuple[list[Report], Counters]:
    """A session's reports as a bad network delivers them, and what it really used.

    The network loses, repeats and reorders, but the last report gets through in the end.
    """
    at = Counters()
    reports = [start()]
    for step in draw(history):
        at += Counters(*step)
        reports.append(report(Kind.INTERIM, at.seconds, at.octets_in, octets_out=at.octets_out))
    last = reports[-1]
    seen = draw(st.lists(st.sampled_from(reports), max_size=20))
    order = draw(st.permutations([*seen, last]))
    return [*order, *([last] if draw(st.booleans()) else [])], at


@given(delivered())
def test_whatever_the_network_does_the_session_is_charged_once(
    case: tuple[list[Report], Counters],
) -> None:
    reports, used = case
    folds = run(*reports)
    total = NOTHING
    for each in folds:
        assert min(each.usage.seconds, each.usage.octets_in, each.usage.octets_out) >= 0
        total += each.usage
    assert total == used
    assert Finding.RESTARTED not in findings(folds)
    assert abs(folds[-1].meter.started - BEGUN) <= START_TOLERANCE_S


@given(delivered(), st.booleans())
def test_folding_again_from_any_point_adds_nothing(
    case: tuple[list[Report], Counters], wraps: bool
) -> None:
    reports, _ = case
    meter = run(*reports, wraps_32=wraps)[-1].meter
    for each in reports:
        assert not fold(meter, each, boot=None, wraps_32=wraps).usage


def arrived(kind: Kind, at: int, seconds: int, octets: int) -> Report:
    """A report of a NAS that sends no Event-Timestamp and no Acct-Delay-Time: of its arrival."""
    return Report(kind, BEGUN + at, None if kind is Kind.START else seconds, octets, 0)


def test_a_report_sent_again_without_its_time_is_no_restart() -> None:
    """The Interim of 10 s comes again at 22 s, the Stop two seconds late: both look later begun."""
    folds = run(
        arrived(Kind.START, 0, 0, 0),
        arrived(Kind.INTERIM, 10, 10, 10),
        arrived(Kind.INTERIM, 20, 20, 20),
        arrived(Kind.INTERIM, 22, 10, 10),
        arrived(Kind.STOP, 32, 30, 30),
    )
    assert Finding.RESTARTED not in findings(folds)
    assert octets_charged(folds) == 30
    assert folds[-1].meter.phase is Phase.STOPPED


def test_a_start_and_a_stop_sent_again_without_their_time_charge_nothing() -> None:
    """As after a worker was killed before it could answer: nothing remembers the datagrams."""
    folds = run(
        arrived(Kind.START, 0, 0, 0),
        arrived(Kind.STOP, 30, 30, 30),
        arrived(Kind.START, 60, 0, 0),
        arrived(Kind.STOP, 61, 30, 30),
    )
    assert octets_charged(folds) == 30


def test_a_report_sent_again_after_an_accounting_on_is_no_new_session() -> None:
    boot = BEGUN + 100
    folds = run(arrived(Kind.START, 0, 0, 0), arrived(Kind.INTERIM, 50, 50, 50), boot=None)
    again = fold(folds[-1].meter, arrived(Kind.INTERIM, 160, 50, 50), boot=boot, wraps_32=False)
    assert again.finding is Finding.NOTHING


@st.composite
def sent_again(draw: st.DrawFn) -> tuple[list[Report], int]:
    """What arrives of a session whose NAS tells no time, and what it used.

    Each record comes within two seconds of its time, and maybe again up to an hour later.
    """
    interval = draw(st.sampled_from([10, 30, 60, 300]))
    kinds = [Kind.START, *[Kind.INTERIM] * draw(st.integers(0, 5)), Kind.STOP]
    arrivals: list[tuple[int, int, Report]] = []
    for number, kind in enumerate(kinds):
        seconds = number * interval
        first = seconds + draw(st.integers(0, 2))
        later = draw(st.lists(st.integers(2, 3600), max_size=2))
        arrivals += [
            (at, number, arrived(kind, at, seconds, seconds * 100))
            for at in (first, *(first + delay for delay in later))
        ]
    arrivals.sort(key=lambda each: each[:2])
    return [each for _, _, each in arrivals], (len(kinds) - 1) * interval * 100


@given(sent_again())
def test_records_sent_again_without_their_time_are_charged_once(
    case: tuple[list[Report], int],
) -> None:
    reports, octets = case
    assert octets_charged(run(*reports)) == octets
