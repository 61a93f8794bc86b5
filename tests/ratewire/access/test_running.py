"""What a running session may still use, as its NAS counts it."""

import msgspec
import pytest

from balances.messages import SessionState
from radius.encoding import Attribute, encode
from radius.profiles import builtin_profiles
from ratewire.access.limits import Volume
from ratewire.access.running import Remaining, limit_attributes, remaining
from rating.access import Access
from rating.allowance import Allowance, Unit
from rating.calendar import Period
from rating.plan import Plan
from rating.quantity import Counters
from rating.reservation import Pace
from rating.usage import Meter, Phase
from tests.ratewire.records import HOURLY, METERED, NOW, NOW_MS, account

PROFILES = builtin_profiles()
MB = 1_000_000


def state(plan: Plan, total: int = 0) -> SessionState:
    used = Counters(60, 0, 30 * MB)
    meter = Meter(0, Phase.OPEN, NOW - 60, NOW - 60, NOW, used, total_micros=total)
    return SessionState(
        "bob", plan.name, 1, "EUR", meter, Pace(300), NOW_MS - 20_000, msgspec.Raw(b"\xc0")
    )


def test_what_it_holds_is_its_own() -> None:
    running = state(HOURLY, total=10_000)
    left = remaining(HOURLY, running, account(50_000, reserved=50_000), 20_000)
    assert left == Remaining(120, Volume())


def test_without_a_limit_of_credit_the_longest_session_stands() -> None:
    plan = msgspec.structs.replace(HOURLY, access=Access(session_seconds=3600))
    assert remaining(plan, state(plan), account(credit_limit=None), 0) == Remaining(3540, Volume())
    left = remaining(plan, state(plan, total=10_000), account(60_000_000), 0)
    assert left is not None
    assert left.seconds == 3540


def test_an_overspend_leaves_nothing() -> None:
    assert remaining(HOURLY, state(HOURLY, total=10_000), account(-5), 0) == Remaining(0, Volume())


def test_allowances_reach_farther_than_money() -> None:
    data = Allowance("data", Unit.OCTETS, 100 * MB, period=Period.ONCE)
    plan = msgspec.structs.replace(METERED, allowances=(data,))
    left = remaining(plan, state(plan), account(0), 0)
    assert left is not None
    assert left.volume.octets_total == 100 * MB


LEFT = Remaining(600, Volume(octets_total=70 * MB))


@pytest.mark.parametrize(
    ("vendor", "attributes"),
    [
        # From the start: what it has used counts; 60 s and 30 MB.
        (
            "coovachilli",
            [
                encode("Session-Timeout", 660),
                encode("ChilliSpot-Max-Total-Octets", 100 * MB),
                encode("ChilliSpot-Max-Total-Gigawords", 0),
            ],
        ),
        # From now: its last report was 20 s ago; in KB.
        (
            "huawei",
            [
                encode("Session-Timeout", 580),
                encode("Huawei-Remanent-Volume", 70 * MB // 1024),
            ],
        ),
        ("accel-ppp", [encode("Session-Timeout", 580)]),
        ("hostapd", []),
    ],
)
def test_each_nas_counts_in_its_own_way(vendor: str, attributes: list[Attribute]) -> None:
    assert (
        limit_attributes(PROFILES[vendor], state(METERED), LEFT, NOW_MS, volume=True) == attributes
    )


def test_what_is_over_is_one_second_and_never_none() -> None:
    """0 means no limit to many."""
    over = Remaining(0, Volume())
    found = limit_attributes(PROFILES["accel-ppp"], state(METERED), over, NOW_MS, volume=False)
    assert found == [encode("Session-Timeout", 1)]


def test_octets_only_where_they_can_be_told() -> None:
    found = limit_attributes(PROFILES["huawei"], state(METERED), LEFT, NOW_MS, volume=False)
    assert found == [encode("Session-Timeout", 580)]
