"""Running totals: exact, monotone, independent of slicing, and explained."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rating.charge import (
    LineKind,
    billed_units,
    explain_charge,
    explain_total,
    running_total,
    units_of,
)
from rating.quantity import NOTHING, Counters
from rating.tariff import Counter, Rule, Tariff
from tests.rating.strategies import counters, tariffs

METERED = Tariff("EUR", (Rule(Counter.OCTETS_TOTAL, 2_000_000, 10**9, 1000, 1000),))
HOURLY = Tariff("EUR", (Rule(Counter.SECONDS, 600_000, 3600),))


@pytest.mark.parametrize(
    ("tariff", "used", "micros"),
    [
        (METERED, Counters(0, 1, 0), 2),  # one octet: a step of 1,000
        (METERED, Counters(99, 500, 500), 2),  # both directions together
        (METERED, Counters(0, 500, 501), 4),
        (METERED, Counters(0, 0, 10**9), 2_000_000),
        (METERED, Counters(0, 2**32, 2**32), 17_179_870),
        (HOURLY, Counters(3600), 600_000),
        (HOURLY, Counters(1), 167),  # 166.67, to the nearest
        (HOURLY, Counters(3), 500),  # but three are 500, not 3 x 167
    ],
)
def test_known_prices(tariff: Tariff, used: Counters, micros: int) -> None:
    assert running_total(tariff, used) == micros


def test_first_and_further_steps_are_whole() -> None:
    rule = Rule(Counter.SECONDS, 1, first_units=60, further_units=10)
    assert [billed_units(rule, n) for n in (0, 1, 60, 61, 70, 71)] == [0, 60, 60, 70, 70, 80]


def test_fee_and_minimum_are_for_sessions_that_used_anything() -> None:
    tariff = Tariff("EUR", (Rule(Counter.SECONDS, 10),), connect_fee_micros=100, minimum_micros=500)
    assert running_total(tariff, NOTHING) == 0
    assert running_total(tariff, Counters(1)) == 500
    assert running_total(tariff, Counters(40)) == 500
    assert running_total(tariff, Counters(41)) == 510
    kinds = [line.kind for line in explain_total(tariff, Counters(1))]
    assert kinds == [LineKind.CONNECT_FEE, LineKind.USAGE, LineKind.MINIMUM]


@given(tariffs(), counters, counters)
def test_more_usage_never_costs_less(tariff: Tariff, used: Counters, more: Counters) -> None:
    assert 0 <= running_total(tariff, used) <= running_total(tariff, used + more)


@given(tariffs(), counters, st.lists(counters, max_size=6))
def test_charges_of_slices_sum_to_the_charge_of_the_whole(
    tariff: Tariff, start: Counters, pieces: list[Counters]
) -> None:
    used, charged = start, running_total(tariff, start)
    for piece in pieces:
        charge = running_total(tariff, used + piece) - running_total(tariff, used)
        assert charge >= 0
        used, charged = used + piece, charged + charge
    assert charged == running_total(tariff, used)


@given(tariffs(), counters)
def test_a_total_is_the_sum_of_exactly_rounded_rules(tariff: Tariff, used: Counters) -> None:
    """An independent reckoning with fractions."""
    if not used:
        assert running_total(tariff, used) == 0
        return
    total = tariff.connect_fee_micros
    for rule in tariff.rules:
        units, billed = units_of(rule.counter, used), 0
        if units:
            over = max(units - rule.first_units, 0)
            steps = Fraction(over, rule.further_units)
            billed = rule.first_units + rule.further_units * -(
                -steps.numerator // steps.denominator
            )
        exact = Fraction(billed * rule.price_micros, rule.per_units)
        total += int(exact + Fraction(1, 2))
    assert running_total(tariff, used) == max(total, tariff.minimum_micros)


@given(tariffs(), counters, counters)
def test_explanations_sum_to_the_charge(tariff: Tariff, before: Counters, more: Counters) -> None:
    after = before + more
    assert sum(line.amount_micros for line in explain_total(tariff, after)) == running_total(
        tariff, after
    )
    lines = explain_charge(tariff, before, after)
    charge = running_total(tariff, after) - running_total(tariff, before)
    assert sum(line.amount_micros for line in lines) == charge
    for line in lines:
        if line.counter is not None:
            assert line.units == units_of(line.counter, more)
