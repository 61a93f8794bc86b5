"""Faults that the acceptance tests do not have: disks that are full, a store that stalls.

`make faults` has all kinds, at full rate.
"""

import pytest

from bench.faults.campaign import campaign
from bench.faults.kinds import KINDS


@pytest.mark.parametrize("name", ["store-disk-full", "postgres-disk-full", "store-stalls"])
def test_what_was_acknowledged_is_in_the_books(name: str) -> None:
    """Service resumes by itself and in time, and the log tells of it."""
    [kind] = [kind for kind in KINDS if kind.name == name]
    seen = campaign(kind, None, rate=300, sessions=100)
    if "skipped" in seen:
        pytest.skip(seen["skipped"])
    assert seen["wrong"] == []
    assert seen["exact"]
