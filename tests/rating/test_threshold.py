"""Thresholds of allowances: told of once each time that they are crossed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rating.allowance import Allowance, Unit
from rating.calendar import Cycle, Period
from rating.plan import Plan
from rating.pool import Pool, copy
from rating.quantity import Counters
from rating.tally import Subject, add, begin
from rating.tariff import Counter, Rule, Tariff, TariffError
from rating.threshold import Threshold, crossings

TARIFF = Tariff("EUR", (Rule(Counter.OCTETS_TOTAL, 1, 1000),))
DATA = Allowance("data", Unit.OCTETS, 1000, period=Period.DAY, rollover=100)
THRESHOLDS = (
    Threshold("data", percent=20),
    Threshold("data", percent=0),
    Threshold("data", units=900),
)
PLAN = Plan("p", 1, TARIFF, allowances=(DATA,), thresholds=THRESHOLDS)
DAY = 86_400


@given(st.lists(st.tuples(st.integers(0, DAY), st.integers(0, 700)), max_size=30))
def test_each_threshold_is_crossed_once_in_a_period(reports: list[tuple[int, int]]) -> None:
    tally, pool = begin(PLAN, 0), Pool()
    told: list[tuple[int, int]] = []
    for seconds, octets in reports:
        before = copy(pool)
        usage = Counters(seconds, 0, octets)
        if usage:
            subject = Subject(Cycle(), "amy")
            tally = add(PLAN, tally, usage, tally.at + seconds, pool, subject).tally
        for crossing in crossings(THRESHOLDS, "p", before, pool):
            assert crossing.left <= crossing.at
            told.append((crossing.since, crossing.at))
    assert len(told) == len(set(told))
    newest = max(pool.buckets, key=lambda bucket: bucket.since, default=None)
    if newest is not None:
        reached = {each.of(newest.amount) for each in THRESHOLDS}
        assert {at for since, at in told if since == newest.since} == {
            at for at in reached if newest.left <= at
        }


@pytest.mark.parametrize(
    ("threshold", "reason"),
    [
        (Threshold("none", percent=1), "there is no allowance none"),
        (Threshold("data"), "give percent or units"),
        (Threshold("data", 5, 5), "give percent or units"),
        (Threshold("data", 100), "percent is 100, allowed is 0 to 99"),
        (Threshold("data", units=-1), "units are -1"),
        (THRESHOLDS[0], "is there twice"),
    ],
)
def test_a_threshold_that_cannot_be_is_refused(threshold: Threshold, reason: str) -> None:
    with pytest.raises(TariffError, match=reason):
        Plan("p", 1, TARIFF, allowances=(DATA,), thresholds=(*THRESHOLDS, threshold))
