"""Moments are converted exactly, both ways, and never through floats."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.settlement import times

_ANY_MS = st.integers(0, 253_402_300_799_999)


@given(_ANY_MS)
def test_milliseconds_come_back(unix_ms: int) -> None:
    """A moment made of Unix milliseconds gives the same milliseconds, to the last year."""
    assert times.unix_ms(times.moment_of_ms(unix_ms)) == unix_ms


@given(_ANY_MS)
def test_seconds_are_rounded_down(unix_ms: int) -> None:
    """Seconds of a moment are whole ones."""
    assert times.unix_seconds(times.moment_of_ms(unix_ms)) == unix_ms // 1000


def test_postgres_counts_from_2000() -> None:
    """Its epoch is 2000-01-01, in micros."""
    millennium = datetime(2000, 1, 1, tzinfo=UTC)
    assert times.postgres_micros(millennium) == 0
    assert times.postgres_micros(millennium + timedelta(seconds=1, microseconds=1)) == 1_000_001
    assert times.postgres_micros_of_seconds(946_684_801) == 1_000_000


@given(st.integers(0, 2**32))
def test_both_ways_to_postgres_agree(unix_seconds: int) -> None:
    """Packing by hand and by datetime is the same moment."""
    moment = times.moment_of_seconds(unix_seconds)
    assert times.postgres_micros(moment) == times.postgres_micros_of_seconds(unix_seconds)


def test_a_moment_beyond_all_years_is_refused() -> None:
    """It raises, so that its item can be parked."""
    with pytest.raises(OverflowError):
        times.moment_of_seconds(2**60)
    with pytest.raises(OverflowError):
        times.moment_of_ms(2**70)
    with pytest.raises(OverflowError):
        times.postgres_micros_of_seconds(253_402_300_800)
