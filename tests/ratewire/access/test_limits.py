"""How far money reaches: never farther than it is, and not one unit less."""

from hypothesis import given
from hypothesis import strategies as st

from ratewire.access.limits import Scope, octets_for, seconds_for, wanted
from rating.charge import running_total
from rating.plan import Plan
from rating.quantity import Counters
from tests.ratewire.records import HOURLY, METERED


def cost(plan: Plan, octets: int, scope: Scope) -> int:
    """The price of octets, those that cost the most."""
    directions = {
        "in": [Counters(0, octets, 0)],
        "out": [Counters(0, 0, octets)],
        "total": [Counters(0, octets, 0), Counters(0, 0, octets)],
    }
    return max(running_total(plan.tariff, used) for used in directions[scope])


@given(st.integers(0, 10**13))
def test_seconds(micros: int) -> None:
    seconds = seconds_for(HOURLY, micros)
    if seconds is None:
        return
    assert running_total(HOURLY.tariff, Counters(seconds)) <= micros
    assert running_total(HOURLY.tariff, Counters(seconds + 1)) > micros


@given(st.integers(0, 10**13), st.sampled_from(["in", "out", "total"]))
def test_octets(micros: int, scope: Scope) -> None:
    octets = octets_for(METERED, micros, scope)
    assert octets is not None
    assert cost(METERED, octets, scope) <= micros < cost(METERED, octets + 1, scope)


def test_what_costs_nothing_has_no_limit() -> None:
    assert seconds_for(METERED, 0) is None
    assert octets_for(HOURLY, 0, "total") is None


def test_no_credit_reaches_nowhere() -> None:
    assert seconds_for(HOURLY, -5) == 0
    assert octets_for(METERED, -5, "total") == 0


def test_a_slice_is_as_the_rater_has_it_for_a_session_that_begins() -> None:
    reserve = METERED.reserve_octets
    assert wanted(METERED, 375) == running_total(METERED.tariff, Counters(375, reserve, reserve))
