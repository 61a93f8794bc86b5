"""The worked examples of docs/rating.md: what they say is what is charged."""

import re
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from billing.catalogue.planfile import read_plans
from rating.calendar import Cycle
from rating.money import parse_amount
from rating.pool import Pool
from rating.quantity import Counters
from rating.tally import Subject, add, begin

ROOT = Path(__file__).parent.parent
PLANS = {plan.name: plan for plan in read_plans(ROOT / "config/samples/plans.toml")}
ROW = re.compile(r"\| ([a-z0-9-]+) \| (\d{4}-\d\d-\d\d \d\d:\d\d) \| (\d+) \| (\d+) \| ([\d.]+) \|")
ROWS = [
    (match.group(1), match.group(2), int(match.group(3)), int(match.group(4)), match.group(5))
    for match in ROW.finditer((ROOT / "docs/rating.md").read_text())
]


def test_there_are_examples() -> None:
    assert len(ROWS) >= 16


@pytest.mark.parametrize(("name", "begins", "seconds", "megabytes", "costs"), ROWS)
@pytest.mark.parametrize("reports", [1, 7])
def test_an_example_is_what_is_charged(
    name: str, begins: str, seconds: int, megabytes: int, costs: str, reports: int
) -> None:
    plan = PLANS[name]
    zone = ZoneInfo(plan.tariff.zone)
    tally = begin(plan, int(datetime.fromisoformat(begins).replace(tzinfo=zone).timestamp()))
    pool, charged = Pool(), 0
    octets, done = megabytes * 10**6, Counters()
    for number in range(1, reports + 1):
        after = Counters(seconds * number // reports, 0, octets * number // reports)
        usage = after - done
        priced = add(
            plan, tally, usage, tally.at + usage.seconds, pool, Subject(Cycle(zone), "amy")
        )
        tally, done = priced.tally, after
        charged += priced.charge_micros
    # By time of day octets are apportioned by report: to the step of the tariff, then.
    tolerance = 10_000 if plan.tariff.bands and reports > 1 else 0
    assert abs(charged - parse_amount(costs)) <= tolerance
