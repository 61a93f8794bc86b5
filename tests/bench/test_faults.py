"""What the acceptance tests do not have of `make faults`: disks that are full, for a while."""

import pytest

from bench.faults import campaign as campaign_module
from bench.faults import kinds
from bench.faults.campaign import campaign


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(campaign_module, "STEADY_S", 0.5)
    monkeypatch.setattr(kinds, "FULL_S", 1.5)


@pytest.mark.parametrize("name", ["store-disk-full", "postgres-disk-full"])
def test_a_full_disk_loses_nothing(name: str) -> None:
    """Service resumes by itself and in time, and the log tells of it."""
    [kind] = [kind for kind in kinds.KINDS if kind.name == name]
    seen = campaign(kind, None, rate=300, sessions=50)
    if "skipped" in seen:
        pytest.skip(seen["skipped"])
    assert seen["wrong"] == []
    assert seen["exact"]
