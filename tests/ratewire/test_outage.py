"""One line when something fails, one when it works again, none between."""

import time

import pytest
from structlog.testing import capture_logs

from ratewire.outage import CALM_S, Outage


def test_an_outage_is_two_lines_however_long_it_lasts() -> None:
    outage = Outage("the store")
    with capture_logs() as lines:
        outage.works()
        assert lines == []
        for number in range(3):
            outage.failed(ConnectionError(f"refused {number}"))
            assert outage.lasts
        [began] = lines
        assert (began["log_level"], began["what"]) == ("error", "the store")
        assert (began["error"], began["kind"]) == ("refused 0", "ConnectionError")
        outage.works()
        outage.works()
        assert not outage.lasts
        [_, ended] = lines
        assert (ended["log_level"], ended["failures"]) == ("warning", 3)


class Clock:
    """A clock that a test moves."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr(time, "monotonic", lambda: self.now)


def test_what_comes_and_goes_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A store whose disk is full answers for a moment after each start."""
    clock, outage = Clock(monkeypatch), Outage("the store")
    with capture_logs() as lines:
        for _ in range(30):
            outage.failed(ConnectionError("refused"))
            clock.now += 0.5
            outage.works()
            assert not outage.lasts
            clock.now += 0.5
        assert [line["event"] for line in lines] == ["failing", "works again"]
        clock.now += CALM_S
        outage.works()
        outage.works()
        assert [line["event"] for line in lines] == ["failing", "works again", "works again"]
        assert lines[-1]["failures"] == 29


def test_an_outage_soon_after_another_is_told_if_it_lasts(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, outage = Clock(monkeypatch), Outage("the store")
    outage.failed(ConnectionError("refused"))
    outage.works()
    with capture_logs() as lines:
        for _ in range(int(CALM_S)):
            outage.failed(ConnectionError("refused"))
            clock.now += 1
        assert lines == []
        outage.failed(ConnectionError("still refused"))
        assert [line["event"] for line in lines] == ["failing"]
        outage.works()
        assert [line["event"] for line in lines] == ["failing", "works again"]


def test_a_later_outage_is_another_one(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, outage = Clock(monkeypatch), Outage("the store")
    with capture_logs() as lines:
        for _ in range(3):
            outage.failed(ConnectionError("refused"))
            outage.works()
            clock.now += CALM_S
        assert [line["event"] for line in lines] == ["failing", "works again"] * 3
