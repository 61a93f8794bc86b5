"""Periods follow each other without overlap and hole, through month-ends, leap years and DST."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.cycles.calendar import (
    Alignment,
    Calendar,
    Change,
    Cycle,
    Part,
    Period,
    Unit,
    cycle_for,
    local_day,
    midnight,
)
from billing.errors import InvalidInput

DAYS = st.dates(date(1990, 1, 1), date(2060, 12, 31))
ZONES = sorted(available_timezones() - {"localtime"})


def cycles() -> st.SearchStrategy[Cycle]:
    monthly = st.builds(
        Cycle,
        st.sampled_from([unit for unit in Unit if unit is not Unit.WEEK]),
        st.integers(1, 31),
        st.integers(1, 12),
    )
    return monthly | st.builds(Cycle, st.just(Unit.WEEK), st.integers(1, 7))


@st.composite
def calendars(draw: st.DrawFn) -> Calendar:
    since = sorted(draw(st.sets(DAYS, min_size=1, max_size=6)))
    return Calendar(tuple(Change(day, draw(cycles())) for day in since))


def test_the_31st_is_clamped_and_comes_back() -> None:
    starts = [
        part.period.start
        for part in Calendar((Change(date(2027, 12, 31), Cycle(Unit.MONTH, 31)),)).parts(
            date(2027, 12, 31), date(2029, 1, 1)
        )
    ]
    assert [str(day) for day in starts] == [
        *("2027-12-31", "2028-01-31", "2028-02-29", "2028-03-31", "2028-04-30", "2028-05-31"),
        *("2028-06-30", "2028-07-31", "2028-08-31", "2028-09-30", "2028-10-31", "2028-11-30"),
        "2028-12-31",
    ]


@pytest.mark.parametrize(
    ("cycle", "day", "start", "end"),
    [
        # a month, on each day that some month does not have
        (Cycle(Unit.MONTH, 29), "2026-02-28", "2026-02-28", "2026-03-29"),
        (Cycle(Unit.MONTH, 29), "2028-02-28", "2028-01-29", "2028-02-29"),
        (Cycle(Unit.MONTH, 30), "2028-02-29", "2028-02-29", "2028-03-30"),
        (Cycle(Unit.MONTH, 31), "2026-04-30", "2026-04-30", "2026-05-31"),
        (Cycle(Unit.MONTH, 31), "2026-04-29", "2026-03-31", "2026-04-30"),
        (Cycle(Unit.MONTH, 1), "2026-12-31", "2026-12-01", "2027-01-01"),
        (Cycle(Unit.MONTH, 15), "2027-01-14", "2026-12-15", "2027-01-15"),
        # centuries: 2000 was a leap year, 2100 is none
        (Cycle(Unit.MONTH, 31), "2000-02-29", "2000-02-29", "2000-03-31"),
        (Cycle(Unit.MONTH, 31), "2100-02-28", "2100-02-28", "2100-03-31"),
        # longer ones, anchored in a month
        (Cycle(Unit.QUARTER, 31, 5), "2026-02-28", "2026-02-28", "2026-05-31"),
        (Cycle(Unit.QUARTER, 1, 1), "2026-03-31", "2026-01-01", "2026-04-01"),
        (Cycle(Unit.HALF_YEAR, 31, 8), "2028-02-28", "2027-08-31", "2028-02-29"),
        (Cycle(Unit.YEAR, 29, 2), "2026-03-01", "2026-02-28", "2027-02-28"),
        (Cycle(Unit.YEAR, 29, 2), "2028-02-28", "2027-02-28", "2028-02-29"),
        (Cycle(Unit.YEAR, 1, 7), "2026-06-30", "2025-07-01", "2026-07-01"),
        # weeks, over a year's end
        (Cycle(Unit.WEEK, 1), "2026-12-31", "2026-12-28", "2027-01-04"),
        (Cycle(Unit.WEEK, 7), "2026-12-27", "2026-12-27", "2027-01-03"),
    ],
)
def test_the_period_of_a_day(cycle: Cycle, day: str, start: str, end: str) -> None:
    expected = Period(date.fromisoformat(start), date.fromisoformat(end))
    assert cycle.period_of(date.fromisoformat(day)) == expected


@given(cycles(), DAYS)
def test_a_period_holds_its_day_and_ends_where_the_next_begins(cycle: Cycle, day: date) -> None:
    period = cycle.period_of(day)
    assert period.start <= day < period.end
    assert cycle.period_of(period.start) == cycle.period_of(period.end - timedelta(days=1))
    assert cycle.period_of(period.end).start == period.end


@given(calendars(), DAYS, st.integers(1, 800))
def test_parts_have_no_overlap_and_no_hole_after_any_changes(
    calendar: Calendar, start: date, days: int
) -> None:
    end = start + timedelta(days=days)
    parts = list(calendar.parts(start, end))
    assert parts[0].period.start == start
    assert parts[-1].period.end == end
    assert all(a.period.end == b.period.start for a, b in pairwise(parts))
    for part in parts:
        assert part.period.within(part.whole.start, part.whole.end) == part.period
        changed = [c.since for c in calendar.changes[1:]]
        assert not any(part.period.start < since < part.period.end for since in changed)


@given(calendars(), DAYS, cycles())
def test_a_change_leaves_what_was_before_it(calendar: Calendar, since: date, new: Cycle) -> None:
    changed = calendar.changed(since, new)
    start = since - timedelta(days=400)
    if since > calendar.changes[0].since:
        assert list(changed.parts(start, since)) == list(calendar.parts(start, since))
    assert changed.part_of(since).whole == new.period_of(since)


def test_the_bill_day_is_changed_at_the_end_of_a_period() -> None:
    calendar = Calendar((Change(date(2026, 1, 31), Cycle(Unit.MONTH, 31)),)).changed(
        date(2026, 4, 30), Cycle(Unit.MONTH, 15)
    )
    assert [
        (str(part.period.start), part.period.days, part.whole.days)
        for part in calendar.parts(date(2026, 3, 31), date(2026, 6, 15))
    ] == [("2026-03-31", 30, 30), ("2026-04-30", 15, 30), ("2026-05-15", 31, 31)]


def test_cycles_begin_with_the_calendar_or_on_the_day_that_billing_did() -> None:
    begun = date(2026, 8, 31)
    assert cycle_for(Unit.MONTH, Alignment.ANNIVERSARY, begun=begun) == Cycle(Unit.MONTH, 31, 8)
    assert cycle_for(Unit.WEEK, Alignment.ANNIVERSARY, begun=begun) == Cycle(Unit.WEEK, 1)
    assert cycle_for(Unit.YEAR, Alignment.CALENDAR, begun=begun) == Cycle(Unit.YEAR, 1, 1)
    assert cycle_for(Unit.QUARTER, Alignment.CALENDAR, begun=begun, bill_day=31) == Cycle(
        Unit.QUARTER, 31, 1
    )
    with pytest.raises(InvalidInput, match="bill day 32 of a month: allowed is 1 to 31"):
        cycle_for(Unit.MONTH, Alignment.CALENDAR, begun=begun, bill_day=32)
    with pytest.raises(InvalidInput, match="by anniversary"):
        cycle_for(Unit.MONTH, Alignment.ANNIVERSARY, begun=begun, bill_day=3)


def test_a_part_knows_whether_it_is_whole() -> None:
    period = Period(date(2026, 1, 1), date(2026, 2, 1))
    assert Part(period, period, Unit.MONTH).is_whole
    begun = Period(date(2026, 1, 1), date(2026, 1, 31))
    assert not Part(begun, period, Unit.MONTH).is_whole


@pytest.mark.parametrize(
    ("zone", "day", "expected"),
    [
        ("Europe/Berlin", "2026-03-29", "2026-03-28T23:00:00+00:00"),  # DST begins at 02:00
        ("Europe/Berlin", "2026-03-30", "2026-03-29T22:00:00+00:00"),
        ("Europe/Berlin", "2026-10-26", "2026-10-25T23:00:00+00:00"),
        ("America/Los_Angeles", "2026-11-02", "2026-11-02T08:00:00+00:00"),
        # 00:00 is skipped: the day begins at 01:00
        ("Africa/Cairo", "2026-04-24", "2026-04-23T22:00:00+00:00"),
        ("America/Sao_Paulo", "2018-11-04", "2018-11-04T03:00:00+00:00"),
        # clocks were put forward from 23:30 to 00:30
        ("America/Toronto", "1919-03-31", "1919-03-31T04:30:00+00:00"),
        # 00:00 is there twice: the first
        ("America/Havana", "2026-11-01", "2026-11-01T04:00:00+00:00"),
        # a day that a zone does not have begins with the next
        ("Pacific/Apia", "2011-12-30", "2011-12-30T10:00:00+00:00"),
        ("Pacific/Apia", "2011-12-31", "2011-12-30T10:00:00+00:00"),
        ("Asia/Kathmandu", "2026-01-01", "2025-12-31T18:15:00+00:00"),
        ("America/Juneau", "2026-03-09", "2026-03-09T08:00:00+00:00"),
    ],
)
def test_midnight_is_when_the_local_day_begins(zone: str, day: str, expected: str) -> None:
    assert midnight(date.fromisoformat(day), ZoneInfo(zone)) == datetime.fromisoformat(expected)


@given(st.sampled_from(ZONES), st.dates(date(1975, 1, 1), date(2037, 12, 31)))
def test_every_day_of_every_zone_has_its_moment(name: str, day: date) -> None:
    zone = ZoneInfo(name)
    begins, ends = midnight(day, zone), midnight(day + timedelta(days=1), zone)
    assert timedelta(0) <= ends - begins <= timedelta(hours=30)
    assert begins.astimezone(zone).date() >= day
    if begins < ends:
        assert local_day(begins, zone) == day
        assert local_day(ends - timedelta(microseconds=1), zone) == day


@given(st.sampled_from(ZONES), st.integers(0, 2**31))
def test_every_moment_is_in_the_day_that_has_begun(name: str, seconds: int) -> None:
    zone, moment = ZoneInfo(name), datetime.fromtimestamp(seconds, UTC)
    day = local_day(moment, zone)
    assert midnight(day, zone) <= moment < midnight(day + timedelta(days=1), zone)
