"""Parts of a period cost their exact share, rounded once to the minor unit."""

from datetime import date, timedelta
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.cycles.calendar import Cycle, Part, Period, Unit
from billing.cycles.proration import DayCount, fraction, minor_unit, prorate, to_minor_unit

UNITS = st.sampled_from(list(Unit))


def part_of(cycle: Cycle, start: str, end: str) -> Part:
    period = Period(date.fromisoformat(start), date.fromisoformat(end))
    return Part(period, cycle.period_of(period.start), cycle.unit)


@st.composite
def cut_periods(draw: st.DrawFn) -> list[Part]:
    """The parts that a period of a cycle is cut into."""
    unit = draw(UNITS)
    cycle = Cycle(unit, draw(st.integers(1, 7 if unit is Unit.WEEK else 31)))
    whole = cycle.period_of(draw(st.dates(date(2019, 1, 1), date(2040, 1, 1))))
    cuts = draw(st.sets(st.integers(1, whole.days - 1), max_size=5))
    days = [whole.start + timedelta(days=cut) for cut in (0, *sorted(cuts), whole.days)]
    return [Part(Period(a, b), whole, unit) for a, b in pairwise(days)]


MONTH = Cycle(Unit.MONTH)


@pytest.mark.parametrize(
    ("price", "part", "currency", "expected"),
    [
        # 10.00 for 15 of 31 days is 4.8387..., for 16 of 31 5.1612...
        (10_000_000, part_of(MONTH, "2026-01-01", "2026-01-16"), "EUR", 4_840_000),
        (10_000_000, part_of(MONTH, "2026-01-16", "2026-02-01"), "EUR", 5_160_000),
        # February has 28 days, and 29 in a leap year
        (28_000_000, part_of(MONTH, "2026-02-10", "2026-02-20"), "EUR", 10_000_000),
        (28_000_000, part_of(MONTH, "2028-02-10", "2028-02-20"), "EUR", 9_660_000),
        # a half cent goes away from zero, in both directions
        (30_300_000, part_of(MONTH, "2026-04-01", "2026-04-02"), "EUR", 1_010_000),
        (150_000, part_of(MONTH, "2026-04-01", "2026-04-02"), "EUR", 10_000),
        (-150_000, part_of(MONTH, "2026-04-01", "2026-04-02"), "EUR", -10_000),
        (149_999, part_of(MONTH, "2026-04-01", "2026-04-02"), "EUR", 0),
        # currencies of no and of three decimals
        (1_000_000_000, part_of(MONTH, "2026-01-01", "2026-01-16"), "JPY", 484_000_000),
        (10_000_000, part_of(MONTH, "2026-01-01", "2026-01-16"), "KWD", 4_839_000),
        # the whole costs what it costs, below the minor unit too
        (9_999_999, part_of(MONTH, "2026-01-01", "2026-02-01"), "EUR", 9_999_999),
    ],
)
def test_a_part_costs_its_days_over_the_whole(
    price: int, part: Part, currency: str, expected: int
) -> None:
    assert prorate(price, part, currency) == expected


def test_the_denominator_is_the_whole_cycle_and_not_what_is_left_of_it() -> None:
    mid = part_of(MONTH, "2026-03-15", "2026-04-01")
    assert fraction(mid) == (17, 31)
    assert prorate(31_000_000, mid, "EUR") == 17_000_000
    year = part_of(Cycle(Unit.YEAR), "2028-03-01", "2029-01-01")
    assert fraction(year) == (306, 366)


@pytest.mark.parametrize(
    ("start", "end", "days"),
    [
        ("2026-01-01", "2026-01-16", 15),
        ("2026-01-16", "2026-02-01", 15),
        ("2026-01-31", "2026-02-01", 0),
        ("2026-02-01", "2026-02-15", 14),
        ("2026-02-15", "2026-03-01", 16),
        ("2026-02-28", "2026-03-01", 3),
    ],
)
def test_a_month_of_30_days(start: str, end: str, days: int) -> None:
    assert fraction(part_of(MONTH, start, end), DayCount.FIXED_30) == (days, 30)


def test_longer_periods_have_30_days_a_month_and_a_week_has_seven() -> None:
    quarter = part_of(Cycle(Unit.QUARTER, 31, 2), "2026-02-28", "2026-05-01")
    assert fraction(quarter, DayCount.FIXED_30) == (61, 90)
    week = part_of(Cycle(Unit.WEEK), "2026-01-05", "2026-01-08")
    assert fraction(week, DayCount.FIXED_30) == (3, 7)


@given(cut_periods(), st.sampled_from(list(DayCount)))
def test_the_shares_of_a_period_sum_to_one(parts: list[Part], day_count: DayCount) -> None:
    shares = [Fraction(*fraction(part, day_count)) for part in parts]
    assert sum(shares) == 1
    assert all(share >= 0 for share in shares)


@given(
    cut_periods(),
    st.sampled_from(list(DayCount)),
    st.integers(-(10**14), 10**14),
    st.sampled_from(["EUR", "JPY", "KWD"]),
)
def test_a_part_is_within_half_a_minor_unit_of_its_share(
    parts: list[Part], day_count: DayCount, price: int, currency: str
) -> None:
    for part in parts:
        exact = price * Fraction(*fraction(part, day_count))
        amount = prorate(price, part, currency, day_count)
        assert abs(amount - exact) <= Fraction(minor_unit(currency), 2)
        assert prorate(-price, part, currency, day_count) == -amount
        assert part.is_whole or amount % minor_unit(currency) == 0


def test_minor_units() -> None:
    assert [minor_unit(currency) for currency in ("JPY", "EUR", "KWD")] == [10**6, 10**4, 10**3]
    assert to_minor_unit(15_000, 1, "EUR") == 20_000
    assert to_minor_unit(-15_000, 1, "EUR") == -20_000
    assert to_minor_unit(14_999, 1, "EUR") == 10_000
