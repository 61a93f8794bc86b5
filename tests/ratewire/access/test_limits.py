"""How far money reaches: never farther than it is, and not one unit less."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from balances.messages import Account
from ratewire.access.limits import Scope, cost_of_login, octets_for, seconds_for, wanted
from rating.allowance import Allowance, Unit
from rating.calendar import Band, Period
from rating.charge import running_total
from rating.plan import Plan
from rating.quantity import Counters
from rating.reservation import Cost
from rating.tariff import Counter, Rule, Service, Tariff
from tests.ratewire.records import HOURLY, METERED


def charge(plan: Plan) -> Cost:
    """What usage costs under a plan whose price is a function of the counters."""
    return lambda ahead: running_total(plan.tariff, ahead)


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
    seconds = seconds_for(charge(HOURLY), micros)
    if seconds is None:
        return
    assert running_total(HOURLY.tariff, Counters(seconds)) <= micros
    assert running_total(HOURLY.tariff, Counters(seconds + 1)) > micros


@given(st.integers(0, 10**13), st.sampled_from(["in", "out", "total"]))
def test_octets(micros: int, scope: Scope) -> None:
    octets = octets_for(charge(METERED), micros, scope)
    assert octets is not None
    assert cost(METERED, octets, scope) <= micros < cost(METERED, octets + 1, scope)


def test_what_costs_nothing_has_no_limit() -> None:
    assert seconds_for(charge(METERED), 0) is None
    assert octets_for(charge(HOURLY), 0, "total") is None


def test_no_credit_reaches_nowhere() -> None:
    assert seconds_for(charge(HOURLY), -5) == 0
    assert octets_for(charge(METERED), -5, "total") == 0


def test_a_slice_is_as_the_rater_has_it_for_a_session_that_begins() -> None:
    reserve = METERED.reserve_octets
    assert wanted(METERED, charge(METERED), 375) == running_total(
        METERED.tariff, Counters(375, reserve, reserve)
    )


class TestCostOfALogin:
    """What a login is told is what its session would be charged: bands, services, allowances."""

    NOW = 1_772_366_400  # Sunday, 1 March 2026, 12:00 UTC
    ACCOUNT = Account("acme", "EUR", 0, 0, 0, 0, 1, 0, 0)

    def cost(self, plan: Plan, service: str = "") -> Cost:
        found = cost_of_login(plan, self.ACCOUNT, username="bob", service=service, now=self.NOW)
        assert found is not None
        return found

    def test_what_an_allowance_covers_needs_no_credit(self) -> None:
        plan = msgspec.structs.replace(
            METERED, allowances=(Allowance("data", Unit.OCTETS, 10_000_000, period=Period.ONCE),)
        )
        cost = self.cost(plan)
        assert wanted(plan, cost, 375) == cost(Counters(375, 10_000_000, 10_000_000)) > 0
        assert octets_for(cost, 0, "total") == 10_000_000
        assert octets_for(cost, 2_000, "in") == 11_000_000

    def test_a_service_has_its_own_price(self) -> None:
        tariff = Tariff(
            "EUR",
            (
                Rule(Counter.SECONDS, 100, services=("wifi",)),
                Rule(Counter.SECONDS, 200),
            ),
            services=(Service("wifi", {"realm": ("wifi",)}),),
        )
        plan = Plan("p", 1, tariff)
        assert seconds_for(self.cost(plan), 60_000) == 300
        assert seconds_for(self.cost(plan, "wifi"), 60_000) == 600

    def test_a_dearer_band_ahead_counts(self) -> None:
        dear = Band("dear", start=13 * 60, end=14 * 60)
        tariff = Tariff(
            "EUR",
            (Rule(Counter.SECONDS, 1000, bands=("dear",)), Rule(Counter.SECONDS, 10)),
            bands=(dear,),
        )
        # An hour at 10, then a thousand each.
        assert seconds_for(self.cost(Plan("p", 1, tariff)), 3_600 * 10 + 5_500) == 3_605
