"""The price of sessions under tariffs with bands, tiers, services and allowances."""

import os
from collections.abc import Sequence

from hypothesis import given, settings

from rating.pool import Pool
from rating.quantity import NOTHING, Counters
from rating.tally import Priced, add, begin
from rating.tariff import Counter
from tests.rating.oracle import Oracle
from tests.rating.rich import Case, seeds

#: `make properties` asks for more.
EXAMPLES = int(os.environ.get("RATEWIRE_EXAMPLES", "2000"))
ORACLE = int(os.environ.get("RATEWIRE_ORACLE", "250"))

OCTETS = (Counter.OCTETS_IN, Counter.OCTETS_OUT, Counter.OCTETS_TOTAL)

many = settings(max_examples=EXAMPLES, deadline=None)


def run(case: Case, used: Sequence[Counters], pool: Pool, later: int = 0) -> list[Priced]:
    """Price one session's reports, one after the other."""
    tally = begin(case.plan, case.anchor + later)
    out: list[Priced] = []
    for usage in used:
        if usage:
            priced = add(case.plan, tally, usage, tally.at + usage.seconds, pool, case.subject)
            out.append(priced)
            tally = priced.tally
    return out


def cost(priced: Sequence[Priced]) -> int:
    return sum(each.charge_micros for each in priced)


@many
@given(seeds)
def test_seconds_cost_the_same_however_they_are_cut(seed: int) -> None:
    case = Case(seed, [Counter.SECONDS, Counter.EVENT])
    used = case.usage(4, 40 * 86_400)
    apart, together = Pool(), Pool()
    parts = run(case, used, apart)
    once = run(case, [sum(used, NOTHING)], together)
    assert cost(parts) == cost(once), case
    assert [bucket.left for bucket in apart.buckets] == [b.left for b in together.buckets], case
    if parts:
        assert parts[-1].tally == once[-1].tally, case


@many
@given(seeds)
def test_octets_cost_the_same_however_they_are_cut(seed: int) -> None:
    case = Case(seed, [*OCTETS, Counter.EVENT], banded=False, granting=False)
    # All in one second: without bands and cycles to cross, octets need no apportioning.
    used = [Counters(0, each.octets_in, each.octets_out) for each in case.usage(4, 0)]
    parts = run(case, used, Pool())
    assert cost(parts) == cost(run(case, [sum(used, NOTHING)], Pool())), case


@many
@given(seeds)
def test_no_charge_is_negative_and_its_lines_sum_to_it(seed: int) -> None:
    case = Case(seed)
    for priced in run(case, case.usage(4, 40 * 86_400), Pool()):
        assert priced.charge_micros >= 0, case
        assert sum(line.amount_micros for line in priced.lines) == priced.charge_micros, case


@many
@given(seeds)
def test_more_usage_never_costs_less(seed: int) -> None:
    case = Case(seed)
    used = case.usage(3, 40 * 86_400)
    less = cost(run(case, used, Pool()))
    assert less <= cost(run(case, [*used, *case.usage(1, 40 * 86_400)], Pool())), case
    if case.plan.tariff.maximum_micros is not None:
        assert less <= case.plan.tariff.maximum_micros, case


@many
@given(seeds)
def test_allowances_are_used_once_and_to_the_unit(seed: int) -> None:
    case = Case(seed)
    pool = Pool()
    priced = run(case, case.usage(4, 86_400), pool)
    priced += run(case, case.usage(4, 86_400), pool, case.apart())
    taken = dict[str, int]()
    for line in (line for each in priced for line in each.lines if line.allowance):
        assert line.left_before - line.left_after == line.units > 0, case
        taken[line.allowance] = taken.get(line.allowance, 0) + line.units
    assert all(0 <= bucket.left <= bucket.amount for bucket in pool.buckets), case
    if any(allowance.rollover for allowance in case.plan.allowances):
        return
    for name, units in taken.items():
        buckets = [bucket for bucket in pool.buckets if bucket.name == name]
        assert units == sum(bucket.amount - bucket.left for bucket in buckets), case


@settings(max_examples=ORACLE, deadline=None)
@given(seeds)
def test_the_naive_price_is_the_same(seed: int) -> None:
    case = Case(seed)
    cycle = case.subject.cycle
    used = [usage for usage in case.usage(3, 2_000) if usage]
    oracle = Oracle(case.plan, cycle.zone, cycle.billing_day, case.subject.service, case.anchor)
    expected = [oracle.report(usage) for usage in used]
    found = run(case, used, Pool())
    assert [priced.charge_micros for priced in found] == expected, case
