"""The time that commands of the billing side go by."""

from datetime import UTC, datetime

import pytest

from ratewire.cli.billing_time import day
from ratewire.cli.running import Refused
from tests.ratewire.cli.conftest import Configured


def test_a_day_is_read_or_refused() -> None:
    assert day(None, "--on") is None
    assert str(day("2026-02-28", "--on")) == "2026-02-28"
    with pytest.raises(Refused, match="--on 2026-02-30: write a day such as"):
        day("2026-02-30", "--on")


def test_a_moment_may_have_an_offset_and_is_utc_without(configured: Configured) -> None:
    ratewire = configured.ratewire
    ratewire.done("account", "create", "time", "--currency", "EUR")
    for at, expected in (
        ("2026-02-01T00:30+01:00", datetime(2026, 1, 31, 23, 30, tzinfo=UTC)),
        ("2026-02-01T00:30", datetime(2026, 2, 1, 0, 30, tzinfo=UTC)),
    ):
        [suspension] = ratewire.json("suspend", "time", "--reason", "test", "--at", at)[-1:]
        assert datetime.fromisoformat(suspension["since"]) == expected
        ratewire.done("resume", "time", "--reason", "test", "--at", at)
    refused = ratewire.refused("suspend", "time", "--reason", "x", "--at", "yesterday")
    assert "--at yesterday: write for example" in refused
