"""Slices: what the next report will probably cost, never more than there is, exact in time."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from rating.charge import running_total
from rating.plan import Plan, Policy
from rating.quantity import NOTHING, Counters
from rating.reservation import (
    MAX_SLICE_MICROS,
    MIN_INTERVAL_S,
    REFUSED,
    Pace,
    Slice,
    lasts,
    longest_silence,
    observe,
    size,
    slice_seconds,
    wanted,
)
from rating.tariff import Counter, Rule, Tariff
from rating.usage import Meter, Phase
from tests.rating.strategies import counters, plans

HOURLY = Plan("hourly", 1, Tariff("EUR", (Rule(Counter.SECONDS, 600_000, 3600),)))
MINUTES = Plan("minutes", 1, Tariff("EUR", (Rule(Counter.SECONDS, 1_000, 60, 60, 60),)))


def metered(policy: Policy) -> Plan:
    """EUR 1 per MB, so that an octet is a micro."""
    rule = Rule(Counter.OCTETS_TOTAL, 1)
    return Plan("metered", 1, Tariff("EUR", (rule,)), policy, reserve_octets=50_000)


def meter_at(plan: Plan, used: Counters) -> Meter:
    return Meter(
        0, Phase.OPEN, 0, 0, used.seconds, used, total_micros=running_total(plan.tariff, used)
    )


paces = st.builds(
    Pace,
    interval=st.integers(10, 3600),
    intervals=st.integers(0, 3),
    rate_in=st.integers(0, 10**9),
    rate_out=st.integers(0, 10**9),
    last_in=st.integers(0, 10**9),
    last_out=st.integers(0, 10**9),
)


def test_a_slice_of_time_is_a_quarter_longer_than_the_interval() -> None:
    meter = meter_at(HOURLY, Counters(600))
    assert wanted(HOURLY, meter, Pace(288)) == 600_000 * 360 // 3600


def test_octets_are_set_aside_at_the_fastest_recent_pace_and_at_least_the_reserve() -> None:
    plan = metered(Policy.BALANCED)
    meter = meter_at(plan, Counters(60, 1000, 1000))
    assert wanted(plan, meter, Pace(80)) == 2 * 50_000
    assert wanted(plan, meter, Pace(80, rate_in=10, last_in=900)) == 90_000 + 50_000


@pytest.mark.parametrize(
    ("granted", "seconds"), [(0, 0), (166, 0), (167, 1), (500, 3), (16_667, 100)]
)
def test_the_deadline_of_a_time_tariff_is_exact(granted: int, seconds: int) -> None:
    meter = meter_at(HOURLY, Counters())
    assert lasts(HOURLY, meter, Pace(300), granted) == seconds


def test_what_is_paid_may_be_used_to_its_end() -> None:
    """70 s of minutes are paid up to 120 s, even with nothing more granted."""
    assert lasts(MINUTES, meter_at(MINUTES, Counters(70)), Pace(300), 0) == 50


@pytest.mark.parametrize(
    ("policy", "pace", "expected"),
    [
        (Policy.BALANCED, Pace(80, intervals=1, rate_in=20, last_in=40), 50),
        (Policy.STRICT, Pace(80, intervals=1, rate_in=10, last_in=20), 1),
        (Policy.LENIENT, Pace(80, intervals=1, rate_in=10, last_in=20), None),
        (Policy.BALANCED, Pace(80), 1),  # nothing known yet: the reserve rate
        (Policy.BALANCED, Pace(80, intervals=1), None),  # idle: nothing will be used
    ],
)
def test_the_policy_decides_how_octets_are_forecast(
    policy: Policy, pace: Pace, expected: int | None
) -> None:
    plan = metered(policy)
    meter = meter_at(plan, Counters(60, 1000))
    assert lasts(plan, meter, pace, 1000) == expected


@given(plans(), counters, paces, st.integers(0, 10**9))
def test_what_lasts_is_the_last_second_that_the_grant_pays(
    plan: Plan, used: Counters, pace: Pace, granted: int
) -> None:
    """For tariffs of seconds alone, where nothing is forecast."""
    assume(all(rule.counter is Counter.SECONDS for rule in plan.tariff.rules))
    meter = meter_at(plan, used)
    seconds = lasts(plan, meter, pace, granted)
    budget = meter.total_micros + granted

    def total(after: int) -> int:
        # Without usage of octets the session may be free still, which the forecast is not.
        return running_total(plan.tariff, used + Counters(after, 1 if not used else 0, 0))

    if seconds is None:
        assert total(slice_seconds(pace)) <= budget
    else:
        assert total(seconds) <= budget or seconds == 0
        assert total(seconds + 1) > budget


@given(plans(), counters, paces, st.one_of(st.none(), st.integers(-(10**9), 10**9)), st.booleans())
def test_a_grant_is_never_more_than_is_there_or_wanted(
    plan: Plan, used: Counters, pace: Pace, available: int | None, begins: bool
) -> None:
    piece = size(plan, meter_at(plan, used), pace, available, begins=begins)
    assert 0 <= piece.grant_micros <= piece.want_micros <= MAX_SLICE_MICROS
    if available is not None:
        assert piece.grant_micros <= max(available, 0)
    if piece.grant_micros < piece.want_micros and plan.policy is Policy.STRICT:
        assert piece.lasts_seconds is not None


@given(plans(), counters, paces)
def test_unlimited_credit_has_no_deadline(plan: Plan, used: Counters, pace: Pace) -> None:
    piece = size(plan, meter_at(plan, used), pace, None, begins=True)
    assert piece.lasts_seconds is None
    assert piece.grant_micros == piece.want_micros


def test_a_session_begins_only_with_the_minimum_credit() -> None:
    plan = Plan("m", 1, HOURLY.tariff, minimum_credit_micros=1_000_000)
    new, running = meter_at(plan, Counters()), meter_at(plan, Counters(60))
    assert size(plan, new, Pace(300), 999_999, begins=True) == REFUSED
    assert size(plan, running, Pace(300), 999_999, begins=False).lasts_seconds is None
    assert size(plan, new, Pace(300), 1_000_000, begins=True).grant_micros > 0


def test_without_credit_a_session_ends_at_once_unless_it_is_free() -> None:
    free = Plan("free", 1, Tariff("EUR", ()))
    assert size(HOURLY, meter_at(HOURLY, Counters()), Pace(300), 0, begins=True) == REFUSED
    assert (
        size(HOURLY, meter_at(HOURLY, Counters(60)), Pace(300), -5, begins=False).lasts_seconds == 0
    )
    assert size(free, meter_at(free, Counters()), Pace(300), -5, begins=True) == Slice(0, 0, None)


def test_an_idle_session_without_credit_ends_too() -> None:
    plan = metered(Policy.LENIENT)
    idle = Pace(80, intervals=1)
    assert size(plan, meter_at(plan, Counters(60, 10)), idle, 0, begins=False).lasts_seconds == 0


def test_the_pace_follows_a_longer_interval_at_once_and_a_shorter_one_slowly() -> None:
    pace = observe(Pace(300), Counters(60, 600, 6000), 60)
    assert pace == Pace(60, 1, 10, 100, 10, 100)
    longer = observe(pace, Counters(400, 4000, 0), 400)
    assert (longer.interval, longer.rate_in, longer.last_in) == (400, 10, 10)
    assert observe(longer, Counters(60), 60).interval == (3 * 400 + 60) // 4
    assert observe(longer, Counters(0, 5, 5), 0) == longer


def test_extra_reports_are_no_interval_but_what_they_tell_is_not_lost() -> None:
    """An address is assigned two seconds after the Start, and reported; the next comes in time."""
    extra = observe(Pace(300), Counters(2, 1000, 8000), 2)
    assert (extra.interval, extra.known) == (300, False)
    regular = observe(extra, Counters(58, 5000, 52000), 58)
    assert (regular.interval, regular.rate_in, regular.rate_out) == (60, 100, 1000)
    assert regular.extra == NOTHING


def test_a_session_that_always_reports_soon_is_known_all_the_same() -> None:
    pace = Pace(300)
    for _ in range(3):
        pace = observe(pace, Counters(2, 200, 0), 2)
    assert (pace.known, pace.interval, pace.rate_in) == (True, MIN_INTERVAL_S, 100)


def test_a_few_early_reports_do_not_make_a_session_silent() -> None:
    pace, silences = Pace(300), list[int]()
    for _ in range(4):
        silences.append(longest_silence(pace, 300, 3))
        pace = observe(pace, Counters(20), 20)
    assert silences == [900, 900, 900, 60]
    assert longest_silence(observe(Pace(300), Counters(700), 700), 300, 3) == 2100
