"""What a charge costs: by how much the tariff has in it, by how much is used, by how many plans.

`python -m bench.rating` prints microseconds as JSON, the best of many short runs, since the other
runs were disturbed. A charge is what `rating.session.rate` does for one report: fold the counters,
price what they added, explain it. Compare figures of one run with each other, not of two machines.
"""

import itertools
import json
import timeit
from collections.abc import Callable
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec

from bench.machine import machine
from billing.catalogue.planfile import parse_plans, read_plans
from ratewire.pipeline.plans import Plans, encode_plan, published_name
from rating.calendar import Cycle
from rating.compiled import compiled
from rating.plan import Plan
from rating.pool import Pool
from rating.reservation import Pace
from rating.session import Rated, price, rate
from rating.tally import Sharing, Subject
from rating.usage import Kind, Report, fold

SAMPLES = Path(__file__).parent.parent / "config" / "samples" / "plans.toml"
NOW = 1_795_870_000
INTERVAL_S = 300


def rules_plan() -> Plan:
    """A tariff of 20 rules: two counters in nine bands and the rest, each with three tiers."""
    hours = [(f"{at:02}:00", f"{at + 2:02}:00") for at in range(4, 22, 2)]
    names = [f"from{start[:2]}" for start, _ in hours]
    text = '[[plan]]\nname = "rules"\ncurrency = "EUR"\nzone = "Europe/Paris"\n'
    text += "".join(
        f'\n[[plan.band]]\nname = "{name}"\nfrom = "{start}"\nto = "{end}"\n'
        for name, (start, end) in zip(names, hours, strict=True)
    )
    for counter, (at, band) in itertools.product(
        ("octets_in", "octets_out"), enumerate([*names, ""])
    ):
        text += f'\n[[plan.rule]]\nname = "{counter}-{band}"\ncounter = "{counter}"\nper = "GB"\n'
        text += f'bands = ["{band}"]\n' if band else ""
        text += "further = 1000\n" + "".join(
            f'[[plan.rule.tier]]\n{bound}price = "{3 - tier}.{at}0"\n'
            for tier, bound in enumerate(('up_to = "10 GB"\n', 'up_to = "100 GB"\n', ""))
        )
    [plan] = parse_plans(text, "rules.toml")
    return plan


def allowances_plan() -> Plan:
    """The sample plan "metered" with five allowances, each of which the benchmark draws from."""
    text = '[[plan]]\nname = "allowances"\ncurrency = "EUR"\n'
    text += '[[plan.rule]]\ncounter = "octets_total"\nprice = "2.00"\nper = "GB"\nfurther = 1000\n'
    for at, amount in enumerate(("1 kB", "2 kB", "3 kB", "4 kB", "100000 TB")):
        text += f'[[plan.allowance]]\nname = "a{at}"\nunit = "octets"\namount = "{amount}"\n'
        text += f'period = "month"\npriority = {at}\n'
    [plan] = parse_plans(text, "allowances.toml")
    return plan


def best_us(call: Callable[[], object], *, calls: int = 20, runs: int = 2_000) -> float:
    """Microseconds of one call, in the least disturbed of `runs` runs."""
    return round(min(timeit.repeat(call, number=calls, repeat=runs)) / calls * 1e6, 2)


class Session:
    """A session that has used something, and its next report, as often as it is asked for."""

    def __init__(self, plan: Plan, octets: int) -> None:
        self._plan = plan
        self._simple = compiled(plan.tariff).simple and not plan.allowances
        self._subject = Subject(Cycle(ZoneInfo(plan.tariff.zone), 1), "u")
        self._pool, self._tally = Pool(), None
        self._before, self._pace = None, Pace(INTERVAL_S)
        for self._report in (
            Report(Kind.START, NOW, 0, 0, 0),
            Report(Kind.INTERIM, NOW + INTERVAL_S, INTERVAL_S, 20_000, 20_000),
        ):
            rated, self._pool = self._rate()
            self._before, self._pace, self._tally = rated.meter, rated.pace, rated.tally
        self._report = Report(
            Kind.INTERIM,
            NOW + 2 * INTERVAL_S,
            2 * INTERVAL_S,
            20_000 + octets // 8,
            20_000 + octets,
        )
        assert self._rate()[0].usage.octets_out == octets

    def charge(self) -> Rated:
        """Rate the report."""
        return self._rate()[0]

    def _rate(self) -> tuple[Rated, Pool]:
        if self._simple:
            return rate(self._plan, self._before, self._pace, self._report), self._pool
        sharing = Sharing(self._subject, self._pool, self._tally)
        folded = fold(self._before, self._report, boot=None, wraps_32=False)
        return price(self._plan, self._before, self._pace, folded, sharing), sharing.pool


def metered() -> Plan:
    """The sample plan "metered": one rule."""
    [plan] = [plan for plan in read_plans(SAMPLES) if plan.name == "metered"]
    return plan


def lookups() -> dict[str, float]:
    """Microseconds to find the plan of a session among so many that are published."""
    found: dict[str, float] = {}
    for count in (10, 10_000):
        plans = [
            msgspec.structs.replace(metered(), name=f"plan{number}") for number in range(count)
        ]
        read = Plans(1, {published_name(plan): encode_plan(plan) for plan in plans})
        wanted = plans[count // 2]
        found[str(count)] = best_us(
            lambda read=read, wanted=wanted: read.version(wanted.name, wanted.version)
        )
    return found


def main() -> None:
    """Run from the command line; print the result as JSON."""
    plans = {"simple": metered(), "20 rules": rules_plan(), "5 allowances": allowances_plan()}
    sizes = {"10 kB": 10**4, "10 MB": 10**7, "10 GB": 10**10}
    charges = {
        name: {size: best_us(Session(plan, octets).charge) for size, octets in sizes.items()}
        for name, plan in plans.items()
    }
    result = {
        "machine": machine(),
        "microseconds_a_charge_by_usage": charges,
        "microseconds_to_find_a_plan_among": lookups(),
    }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
