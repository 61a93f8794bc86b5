"""Dry runs: what a session would cost, and how far an amount takes it."""

from hypothesis import given, settings

from rating.money import MAX_MICROS
from rating.plan import Plan
from rating.pool import Pool, copy
from rating.quantity import NOTHING, Counters
from rating.quote import HORIZON_S, quote, reach
from rating.tally import Sharing
from rating.tariff import AtMaximum, Counter, Rule, Tariff
from tests.rating.rich import Case, seeds
from tests.rating.test_tally import run

some = settings(max_examples=60, deadline=None)


@some
@given(seeds)
def test_a_quote_is_what_would_be_charged_and_changes_nothing(seed: int) -> None:
    case = Case(seed)
    pool = Pool()
    sharing = Sharing(case.subject, pool)
    for usage in case.usage(4, 40 * 86_400):
        before = copy(pool)
        found = quote(case.plan, usage, case.anchor, sharing)
        assert pool == before
        charged = run(case, [usage], pool)  # and takes of the allowances
        if found is None:
            assert charged[0].charge_micros > MAX_MICROS
            continue
        if charged:
            assert found.charge_micros == charged[0].charge_micros
        assert sum(line.amount_micros for line in found.lines) == found.charge_micros


@some
@given(seeds)
def test_what_lasts_is_affordable_and_no_more_is(seed: int) -> None:
    case = Case(seed)
    sharing = Sharing(case.subject, Pool())
    available = seed % 5_000_000
    found = reach(case.plan, case.anchor, sharing, available, NOTHING)

    def charge(usage: Counters) -> int:
        priced = quote(case.plan, usage, case.anchor, sharing)
        return MAX_MICROS if priced is None else priced.charge_micros

    assert found.seconds is None or found.seconds < HORIZON_S
    for most, unit in ((found.seconds, Counters(1)), (found.octets, Counters(0, 0, 1))):
        if most is not None:
            assert charge(times(unit, most)) <= available < charge(times(unit, most + 1))


def times(unit: Counters, count: int) -> Counters:
    return Counters(unit.seconds * count, 0, unit.octets_out * count)


def plan(at_maximum: AtMaximum) -> Plan:
    tariff = Tariff(
        "EUR",
        (Rule(Counter.SECONDS, 1_000), Rule(Counter.OCTETS_OUT, 1)),
        maximum_micros=100_000,
        at_maximum=at_maximum,
    )
    return Plan("p", 1, tariff)


def test_a_session_ends_with_the_money_or_at_the_maximum_that_cuts_it() -> None:
    sharing = Sharing(Case(1).subject, Pool())
    cut, free = plan(AtMaximum.CUT), plan(AtMaximum.FREE)
    assert reach(cut, 0, sharing, 50_999, NOTHING).seconds == 50
    assert reach(free, 0, sharing, 50_999, NOTHING).seconds == 50
    assert reach(cut, 0, sharing, 10**9, NOTHING).seconds == 100
    assert reach(cut, 0, sharing, None, NOTHING).octets == 100_000
    assert reach(free, 0, sharing, 10**9, NOTHING).seconds is None
    assert reach(free, 0, sharing, -1, NOTHING).seconds == 0
    # 1,000 for the second, 1,000 for what it receives in it.
    assert reach(cut, 0, sharing, 50_000, Counters(0, 0, 1_000)).seconds == 25
