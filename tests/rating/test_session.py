"""One report's way: what is charged is the price of the counters, whatever the slicing."""

from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from rating.calendar import Cycle
from rating.charge import running_total
from rating.money import MAX_MICROS
from rating.plan import Plan
from rating.pool import Pool
from rating.quantity import Counters
from rating.reservation import EXTRA_REPORT_S, Pace
from rating.session import BURST_S, MAX_RATE, Rated, price, rate
from rating.tally import Sharing, Subject
from rating.tariff import Counter, Rule, Tariff
from rating.usage import Finding, Kind, Meter, Phase, Report, fold
from tests.rating.strategies import plans
from tests.rating.test_usage import delivered, start

METERED = Plan("m", 1, Tariff("EUR", (Rule(Counter.OCTETS_TOTAL, 2_000_000, 10**9, 1000, 1000),)))


def run(plan: Plan, reports: list[Report]) -> list[Rated]:
    results: list[Rated] = []
    meter: Meter | None = None
    pace = Pace(300)
    for each in reports:
        results.append(rate(plan, meter, pace, each))
        meter, pace = results[-1].meter, results[-1].pace
    return results


@given(plans(), delivered())
def test_the_charges_of_a_session_are_the_price_of_its_counters(
    plan: Plan, case: tuple[list[Report], Counters]
) -> None:
    reports, used = case
    assume(running_total(plan.tariff, used) <= MAX_MICROS)
    results = run(plan, reports)
    assert all(each.charge_micros >= 0 for each in results)
    assert sum(each.charge_micros for each in results) == running_total(plan.tariff, used)
    assert results[-1].meter.total_micros == running_total(plan.tariff, used)


def test_a_new_epoch_is_priced_from_zero() -> None:
    again = 1_700_001_000
    results = run(
        METERED,
        [
            start(),
            Report(Kind.STOP, 1_700_000_060, 60, 1_500, 0),
            start(again),
            Report(Kind.INTERIM, again + 60, 60, 1_500, 0),
        ],
    )
    assert [each.charge_micros for each in results] == [0, 4, 0, 4]


def test_counters_that_cannot_be_charge_nothing_and_are_told() -> None:
    results = run(
        METERED,
        [
            Report(Kind.INTERIM, 1_700_000_060, 60, 2**63, 0),
            Report(Kind.INTERIM, 1_700_000_120, 120, 3000, 0),
            Report(Kind.STOP, 1_700_000_130, 130, 2**64 - 1, 0),
        ],
    )
    assert [each.implausible for each in results] == [True, False, True]
    assert [each.charge_micros for each in results] == [0, 6, 0]
    assert results[0].finding is Finding.OPENED
    assert results[-1].meter.phase is Phase.STOPPED
    assert results[-1].meter.used == Counters(120, 3000)


def test_counters_that_cannot_be_leave_a_restart_with_nothing_used() -> None:
    """The seconds began again, the octets out went on, and then the octets in are broken."""
    begun = 1_700_000_000
    results = run(
        METERED,
        [
            start(),
            Report(Kind.INTERIM, begun + 600, 600, 0, 5000),
            Report(Kind.INTERIM, begun + 1000, 60, 0, 6000),
        ],
    )
    broken = Report(Kind.INTERIM, begun + 1060, 120, 2**64 - 1, 7000)
    folded = fold(results[-1].meter, broken, boot=None, wraps_32=False)
    assert folded.finding is Finding.RESTARTED
    restarted = price(METERED, None, Pace(300), folded)
    assert restarted.implausible
    assert restarted.meter.used == Counters(0, 0, 0)
    after = rate(
        METERED, restarted.meter, Pace(300), Report(Kind.INTERIM, begun + 1120, 180, 0, 8000)
    )
    assert after.meter.used == Counters(180, 0, 3000)
    assert after.charge_micros == 6


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("broken", [2**32 - 1, 1_700_000_060])
def test_a_session_that_lasts_for_decades_is_a_broken_counter(broken: int, shared: bool) -> None:
    """-1, or the time of day: neither charged, nor taken for when the session began."""
    hourly = Plan("h", 1, Tariff("EUR", (Rule(Counter.SECONDS, 600_000, 3600, 60, 60),)))
    sharing = Sharing(Subject(Cycle(ZoneInfo("UTC"), 1)), Pool()) if shared else None
    now = 1_700_000_060
    results: list[Rated] = []
    meter: Meter | None = None
    for seconds, at in ((broken, now), (120, now + 60), (broken - 1, now + 61), (180, now + 120)):
        folded = fold(meter, Report(Kind.INTERIM, at, seconds), boot=None, wraps_32=False)
        results.append(price(hourly, meter, Pace(300), folded, sharing))
        meter = results[-1].meter
        if sharing is not None:
            sharing.tally = results[-1].tally
    assert [each.implausible for each in results] == [True, False, True, False]
    assert [each.charge_micros for each in results] == [0, 20_000, 0, 10_000]
    assert meter is not None
    assert meter.started == now - 60
    assert results[0].meter.started == now
    if sharing is not None and sharing.tally is not None:
        assert sharing.tally.anchor == now


def test_more_than_a_line_carries_is_not_usage() -> None:
    begun = 1_700_000_000
    most = MAX_RATE * (60 + BURST_S)
    results = run(
        METERED,
        [
            start(),
            Report(Kind.INTERIM, begun + 60, 60, most + 1, 0),
            Report(Kind.INTERIM, begun + 60, 60, most, 0),
            Report(Kind.INTERIM, begun + 61, 61, 0, 2**61),
        ],
    )
    assert [each.implausible for each in results] == [False, True, False, True]
    assert results[-1].meter.used == Counters(60, most, 0)


@given(st.integers(1, 10**9), st.integers(EXTRA_REPORT_S, 3600))
def test_the_pace_is_what_was_used_a_second(octets: int, elapsed: int) -> None:
    results = run(
        METERED, [start(), Report(Kind.INTERIM, 1_700_000_000 + elapsed, elapsed, octets, 0)]
    )
    assert results[-1].pace.last_in == octets // elapsed
