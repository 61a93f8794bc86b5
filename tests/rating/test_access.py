"""What a plan says of its sessions: bounds, and what belongs together."""

import pytest

from rating.access import PLAIN, Access


def test_nothing_said_is_no_fault() -> None:
    assert PLAIN.faults() == []
    assert Access(1000, 1000, 600, 86_400, 2, "gold", "portal", "free").faults() == []


@pytest.mark.parametrize(
    "access",
    [
        Access(rate_down_kbps=1),
        Access(2**32, 1),
        Access(idle_seconds=-1),
        Access(session_seconds=2**31 + 1),
        Access(session_limit=10_001),
        Access(pool="x" * 65),
        Access(pool="a\nb"),
        Access(garden="portal"),
        Access(garden_plan="free"),
    ],
)
def test_each_fault_is_named(access: Access) -> None:
    [fault] = access.faults()
    assert fault.startswith("access.")
