"""Bands, services, tiers and allowances in plan files."""

import pytest

from billing.catalogue.planfile import PlanFileError, parse_plans
from rating.allowance import Unit
from rating.calendar import Period
from rating.tariff import Counter, TierMode
from rating.threshold import Threshold


def test_a_plan_may_have_all_of_them() -> None:
    (plan,) = parse_plans(
        """
[[plan]]
name = "all"
currency = "EUR"
zone = "Europe/Berlin"
holidays = [2026-12-25]
maximum = "5.00"
at_maximum = "cut"
tier_period = "month"
[[plan.band]]
name = "night"
from = "22:00"
to = "06:00"
days = ["mon", "holiday"]
[[plan.service]]
name = "wifi"
realm = ["wifi.*"]
[[plan.rule]]
counter = "octets_total"
per = "GB"
bands = ["night"]
services = ["wifi"]
tier_mode = "volume"
[[plan.rule.tier]]
up_to = "10 GB"
price = "1.00"
[[plan.rule.tier]]
price = "0.50"
[[plan.allowance]]
name = "data"
unit = "octets"
amount = "5 GB"
rollover = "1 GB"
period = "days"
days = 30
shared = false
counters = ["octets_total"]
[[plan.threshold]]
allowance = "data"
percent = 20
[[plan.threshold]]
allowance = "data"
left = "1 GB"
""",
        "f.toml",
    )
    tariff = plan.tariff
    assert (tariff.bands[0].start, tariff.bands[0].end) == (22 * 60, 6 * 60)
    assert tariff.cycle is Period.MONTH
    (rule,) = tariff.rules
    assert rule.tier_mode is TierMode.VOLUME
    assert [(tier.up_to, tier.price_micros) for tier in rule.tiers] == [
        (10 * 10**9, 1_000_000),
        (None, 500_000),
    ]
    (allowance,) = plan.allowances
    assert (allowance.unit, allowance.amount) == (Unit.OCTETS, 5 * 10**9)
    assert allowance.scope.counters == (Counter.OCTETS_TOTAL,)
    assert not allowance.shared
    assert plan.thresholds == (Threshold("data", percent=20), Threshold("data", units=10**9))


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ('zone = "Mars/Base"', "allowed is an IANA zone"),
        ('holidays = ["x"]', "list of dates"),
        ('[[plan.band]]\nname = "n"\nfrom = "25:00"', "from is '25:00', allowed is a time of day"),
        ('[[plan.band]]\nname = "n"\ndays = "mon"', "list of texts"),
        ('[[plan.service]]\nname = "s"', "nothing is told"),
        ('[[plan.allowance]]\nname = "a"\nunit = "octets"', "amount is missing"),
        ('[[plan.threshold]]\nallowance = "a"\npercent = 5', "there is no allowance a"),
        ('[[plan.threshold]]\nallowance = "a"', "give percent or units, one of them"),
        ('[[plan.allowance]]\nname = "a"\nunit = "miles"', "allowed is octets or seconds or money"),
        (
            '[[plan.allowance]]\nname = "a"\nunit = "money"\namount = "1"\ncounters = ["x"]',
            "'x' is none, allowed are",
        ),
        (
            '[[plan.allowance]]\nname = "a"\nunit = "money"\namount = "1"\nshared = 1',
            "allowed is true or false",
        ),
    ],
)
def test_a_fault_says_what_is_allowed(text: str, part: str) -> None:
    with pytest.raises(PlanFileError) as caught:
        parse_plans(f'[[plan]]\nname = "p"\ncurrency = "EUR"\n{text}\n', "f.toml")
    assert part in str(caught.value)
