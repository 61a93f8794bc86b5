"""Moments of the store and of NASes (Unix time, integers) as Postgres has them. Never floats."""

from datetime import UTC, datetime, timedelta

_UNIX_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

#: Postgres counts micros from 2000-01-01; this is that moment in Unix seconds.
_POSTGRES_EPOCH_S = 946_684_800

#: What a datetime can hold: the years 1 to 9999, in Unix seconds.
_FIRST_S, _LAST_S = -62_135_596_800, 253_402_300_799


def moment_of_seconds(unix_seconds: int) -> datetime:
    """Return the moment; raises OverflowError beyond the years 1 to 9999."""
    return _UNIX_EPOCH + timedelta(seconds=unix_seconds)


def moment_of_ms(unix_ms: int) -> datetime:
    """Return the moment; raises OverflowError beyond the years 1 to 9999."""
    return _UNIX_EPOCH + timedelta(milliseconds=unix_ms)


def unix_seconds(moment: datetime) -> int:
    """Return the Unix seconds of a moment, rounded down."""
    return (moment - _UNIX_EPOCH) // timedelta(seconds=1)


def unix_ms(moment: datetime) -> int:
    """Return the Unix milliseconds of a moment, rounded down."""
    return (moment - _UNIX_EPOCH) // timedelta(milliseconds=1)


def postgres_micros(moment: datetime) -> int:
    """Return the moment as Postgres sends and takes it in binary."""
    return (moment - _UNIX_EPOCH) // _MICROSECOND - _POSTGRES_EPOCH_S * 1_000_000


def postgres_micros_of_seconds(unix_seconds: int) -> int:
    """Return the moment as Postgres sends and takes it in binary.

    Raises OverflowError beyond the years 1 to 9999, which nobody could read back.
    """
    if not _FIRST_S <= unix_seconds <= _LAST_S:
        raise OverflowError(f"a moment of {unix_seconds} Unix seconds is beyond the year 9999")
    return (unix_seconds - _POSTGRES_EPOCH_S) * 1_000_000
