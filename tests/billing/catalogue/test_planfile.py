"""Plan files: what they may say, and that everything wrong with one is said at once."""

from pathlib import Path

import pytest

from billing.catalogue.planfile import PlanFileError, parse_plans, read_plans
from rating.access import Access
from rating.charge import running_total
from rating.plan import Plan, Policy
from rating.quantity import Counters
from rating.tariff import Counter, Rule, Tariff

SAMPLES = Path(__file__).parents[3] / "config" / "samples" / "plans.toml"


def faults_of(text: str) -> list[str]:
    with pytest.raises(PlanFileError) as caught:
        parse_plans(text, "f.toml")
    assert str(caught.value).splitlines() == [str(fault) for fault in caught.value.faults]
    return [str(fault) for fault in caught.value.faults]


def sample(name: str) -> Plan:
    return next(plan for plan in read_plans(SAMPLES) if plan.name == name)


def test_the_least_plan_takes_the_defaults() -> None:
    [plan] = parse_plans('[[plan]]\nname = "p"\ncurrency = "EUR"\n', "f.toml")
    assert plan == Plan("p", 1, Tariff("EUR", ()))


def test_everything_that_can_be_said_is_understood() -> None:
    [plan] = parse_plans(
        """
        [[plan]]
        name = "p"
        currency = "KWD"
        policy = "strict"
        reserve_octets = "5 MiB"
        minimum_credit = "0.001"
        connect_fee = "0.002"
        minimum = "1"
        [[plan.rule]]
        counter = "seconds"
        price = "0.6"
        per = "hour"
        first = "minute"
        further = 30
        [[plan.rule]]
        counter = "octets_in"
        price = "0"
        """,
        "f.toml",
    )
    rules = (Rule(Counter.SECONDS, 600_000, 3600, 60, 30), Rule(Counter.OCTETS_IN, 0))
    assert plan == Plan(
        name="p",
        version=1,
        tariff=Tariff("KWD", rules, connect_fee_micros=2_000, minimum_micros=1_000_000),
        policy=Policy.STRICT,
        reserve_octets=5 * 2**20,
        minimum_credit_micros=1_000,
    )


def test_the_first_step_is_as_the_others_unless_it_is_given() -> None:
    [plan] = parse_plans(
        '[[plan]]\nname = "p"\ncurrency = "EUR"\n'
        '[[plan.rule]]\ncounter = "octets_total"\nprice = "1"\nper = "GB"\nfurther = "kB"\n',
        "f.toml",
    )
    assert plan.tariff.rules == (Rule(Counter.OCTETS_TOTAL, 1_000_000, 10**9, 1000, 1000),)


def test_every_fault_is_named_with_its_line() -> None:
    faults = faults_of(
        """\
x = 1
[[plan]]
name = "a b"
currency = "EURO"
policy = "hard"
minimun = "1"
minimum_credit = 1.5
[[plan.rule]]
counter = "octets_total"
price = "2,00"
per = "hour"
[[plan.rule]]
counter = "octets"
further = 0
[[plan]]
[[plan]]
name = "b"
currency = "EUR"
connect_fee = "-1"
[[plan.rule]]
counter = "seconds"
price = "1"
first = 0
[[plan.rule]]
counter = "seconds"
price = "1"
[[plan.rule]]
counter = "seconds"
price = "1"
[[plan]]
name = "b"
currency = "EUR"
rule = 3
"""
    )
    expected = [
        ("f.toml:", "the key x is not known; allowed are plan"),
        ("f.toml:3:", "plan a b: name must be 1 to 64 printable characters without spaces"),
        ("f.toml:4:", "plan a b: currency is 'EURO', allowed is an ISO 4217 code"),
        ("f.toml:5:", "plan a b: policy is 'hard', allowed is strict or balanced or lenient"),
        ("f.toml:6:", "plan a b: the key minimun is not known; did you mean minimum?"),
        (
            "f.toml:7:",
            'plan a b: minimum_credit is 1.5; write it as a text: minimum_credit = "1.5"',
        ),
        ("f.toml:10:", "plan a b: rule 1: price: '2,00' is not an amount"),
        ("f.toml:11:", "plan a b: rule 1: per is 'hour', allowed is a number of octets"),
        ("f.toml:12:", "plan a b: rule 2: price is missing"),
        ("f.toml:13:", "plan a b: rule 2: counter is 'octets', allowed is seconds or octets_in"),
        ("f.toml:15:", "plan number 2: currency is missing"),
        ("f.toml:15:", "plan number 2: name is missing"),
        ("f.toml:16:", "plan b: rule 2 never holds: earlier rules for seconds cover"),
        ("f.toml:19:", "plan b: connect_fee_micros is -1000000, allowed is 0 to"),
        ("f.toml:20:", "plan b: rule 1: rule for seconds: first_units is 0, allowed is 1 to"),
        ("f.toml:30:", "plan b: there are two plans of that name"),
        ("f.toml:33:", "plan b: rule is to be written as tables, each under [[plan.rule]]"),
    ]
    assert len(faults) == len(expected)
    for fault, (place, message) in zip(sorted(faults, key=line_of), expected, strict=True):
        assert fault.startswith(f"{place} {message}"), fault


def line_of(fault: str) -> tuple[int, str]:
    place = fault.split(": ")[0].split(":")
    return (int(place[1]) if len(place) > 1 else 0, fault)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("[[plan]\n", "f.toml: is not TOML: Expected ']]'"),
        ("", "f.toml: there is no [[plan]]"),
        ("plan = 3\n", "f.toml: plan is to be written as tables, each under [[plan]]"),
        ("[plan]\nname = 'p'\n", "f.toml: plan is to be written as tables, each under [[plan]]"),
        (
            "[[plan]]\nname = 3\ncurrency = 'EUR'\n",
            "f.toml:2: plan number 1: name is 3, allowed is a text",
        ),
    ],
)
def test_what_is_no_plan_file_is_refused(text: str, fault: str) -> None:
    [found] = faults_of(text)
    assert found.startswith(fault)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(PlanFileError, match=r"missing\.toml: cannot be read"):
        read_plans(tmp_path / "missing.toml")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(PlanFileError, match=r"binary\.toml: cannot be read"):
        read_plans(tmp_path / "binary.toml")


def test_all_sample_plans_can_be_loaded() -> None:
    names = [plan.name for plan in read_plans(SAMPLES)]
    assert names[:2] == ["metered", "hourly"]
    assert len(names) == len(set(names)) > 5


def test_the_metered_sample_costs_two_euros_a_gigabyte_in_steps_of_a_thousand_octets() -> None:
    tariff = sample("metered").tariff
    assert tariff.currency == "EUR"
    assert running_total(tariff, Counters(3600, 400_000_000, 600_000_000)) == 2_000_000
    assert running_total(tariff, Counters(0, 1, 0)) == 2
    assert running_total(tariff, Counters(0, 500, 500)) == 2
    assert running_total(tariff, Counters(0, 500, 501)) == 4


def test_the_hourly_sample_costs_sixty_cents_an_hour_by_the_second() -> None:
    tariff = sample("hourly").tariff
    assert tariff.currency == "EUR"
    assert running_total(tariff, Counters(3600, 10**9, 10**9)) == 600_000
    assert running_total(tariff, Counters(seconds=6)) == 1_000
    assert running_total(tariff, Counters(seconds=1)) == 167


def test_a_plan_says_what_a_login_is_given() -> None:
    text = (
        '[[plan]]\nname = "fast"\ncurrency = "EUR"\n[[plan.rule]]\ncounter = "seconds"\n'
        'price = "1"\n[plan.access]\nrate_down_kbps = 50000\nrate_up_kbps = 10000\n'
        'session_limit = 2\npool = "gold"\n'
    )
    [plan] = parse_plans(text, "plans.toml")
    assert plan.access == Access(50_000, 10_000, session_limit=2, pool="gold")


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("speed = 5", "access: the key speed is not known"),
        ("pool = 5", "access: Expected `str`, got `int` - at `$.pool`"),
        ("session_limit = -1", "access.session_limit is -1, allowed is 0 to 10000"),
        ("rate_up_kbps = 1", "access.rate_down_kbps and access.rate_up_kbps belong together"),
        ('garden = "portal"', "access.garden and access.garden_plan belong together"),
    ],
)
def test_what_a_login_cannot_be_given(line: str, fault: str) -> None:
    text = f'[[plan]]\nname = "x"\ncurrency = "EUR"\n[plan.access]\n{line}\n'
    with pytest.raises(PlanFileError) as raised:
        parse_plans(text, "plans.toml")
    assert fault in str(raised.value)
