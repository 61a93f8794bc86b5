"""The calendar of billing: local days cut into periods without overlap and without hole. Pure.

A day is a local date in the account's time zone. A period is half-open: its end is the first day
of the next one. A cycle is a grid of periods over all of time; a calendar is what an account's
cycle was and is, with the dates of its changes.
"""

import enum
from bisect import bisect_right
from calendar import monthrange
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from itertools import pairwise
from typing import Final
from zoneinfo import ZoneInfo

import msgspec

from billing.errors import InvalidInput

_DAY: Final = timedelta(days=1)
_SECOND: Final = timedelta(seconds=1)


class Period(msgspec.Struct, frozen=True, order=True):
    """Days from `start` on, before `end`; never empty."""

    start: date
    end: date

    def __post_init__(self) -> None:
        assert self.start < self.end, self

    @property
    def days(self) -> int:
        """How many days there are."""
        return (self.end - self.start).days

    def within(self, start: date, end: date) -> "Period | None":
        """Return the part that is on or after `start` and before `end`; None if there is none."""
        first, last = max(self.start, start), min(self.end, end)
        return Period(first, last) if first < last else None


class Unit(enum.StrEnum):
    """How long a cycle's periods are."""

    WEEK = "week"
    MONTH = "month"
    QUARTER = "quarter"
    HALF_YEAR = "half-year"
    YEAR = "year"

    @property
    def months(self) -> int:
        """How many months a period has; 0 for a week."""
        return _MONTHS[self]


_MONTHS: Final = {
    Unit.WEEK: 0,
    Unit.MONTH: 1,
    Unit.QUARTER: 3,
    Unit.HALF_YEAR: 6,
    Unit.YEAR: 12,
}


class Alignment(enum.StrEnum):
    """Where a cycle's periods begin: with the calendar, or on the day that billing began."""

    CALENDAR = "calendar"
    ANNIVERSARY = "anniversary"


class Cycle(msgspec.Struct, frozen=True):
    """A grid of periods over all of time.

    `day` is the day of the month on which periods begin (1 to 31; in a shorter month its last day,
    and the 31st again in the next long one), or of the week (1 Monday to 7 Sunday). `month` (1 to
    12) is one of the months in which periods of several months begin.
    """

    unit: Unit
    day: int = 1
    month: int = 1

    def __post_init__(self) -> None:
        last = 7 if self.unit is Unit.WEEK else 31
        if not 1 <= self.day <= last:
            raise InvalidInput(f"bill day {self.day} of a {self.unit}: allowed is 1 to {last}")
        if not 1 <= self.month <= 12:
            raise InvalidInput(f"bill month {self.month}: allowed is 1 to 12")

    def period_of(self, day: date) -> Period:
        """Return the period that a day is in."""
        return _period_of(self, day)


# A billing run asks for the same few days of a few cycles, of all accounts.
@lru_cache(maxsize=4096)
def _period_of(cycle: Cycle, day: date) -> Period:
    if cycle.unit is Unit.WEEK:
        start = day - timedelta(days=(day.isoweekday() - cycle.day) % 7)
        return Period(start, start + timedelta(days=7))
    months = cycle.unit.months
    number = _month_number(day)
    number -= (number - (cycle.month - 1)) % months
    if _begins(cycle, number) > day:
        number -= months
    return Period(_begins(cycle, number), _begins(cycle, number + months))


def _begins(cycle: Cycle, number: int) -> date:
    """The day of a month (counted from year 0) on which a period begins."""
    year, month = divmod(number, 12)
    return date(year, month + 1, min(cycle.day, monthrange(year, month + 1)[1]))


def cycle_for(
    unit: Unit, alignment: Alignment, *, begun: date, bill_day: int | None = None
) -> Cycle:
    """Return the cycle of an account whose billing began on a day.

    By anniversary periods begin on that day (of the week, month or year). By the calendar they
    begin on Monday, or on the `bill_day` (1 if None) of the first month of the unit. Raises
    InvalidInput for a bill day that cannot be.
    """
    if alignment is Alignment.CALENDAR:
        return Cycle(unit, 1 if bill_day is None else bill_day)
    if bill_day is not None:
        raise InvalidInput("a cycle by anniversary takes its bill day from the day billing began")
    if unit is Unit.WEEK:
        return Cycle(unit, begun.isoweekday())
    return Cycle(unit, begun.day, begun.month)


class Part(msgspec.Struct, frozen=True):
    """Some days of a period of a cycle, that whole period, and how long such periods are."""

    period: Period
    whole: Period
    unit: Unit

    @property
    def is_whole(self) -> bool:
        """Whether it is all of the period."""
        return self.period == self.whole


class Change(msgspec.Struct, frozen=True, order=True):
    """The cycle that holds from a day on."""

    since: date
    cycle: Cycle


class Calendar(msgspec.Struct, frozen=True):
    """What an account's cycle is, over time: changes by day, no two on the same.

    A period of the old cycle ends early on the day of a change, one of the new cycle begins late;
    both are parts, to be prorated over their own cycle's whole period. What is before the first
    change is cut by the first cycle.
    """

    changes: tuple[Change, ...]

    def __post_init__(self) -> None:
        assert self.changes, "a calendar has a cycle"
        assert all(a.since < b.since for a, b in pairwise(self.changes)), self.changes

    def part_of(self, day: date) -> Part:
        """Return the part that a day is in: as long as neither period nor cycle changes."""
        number = max(bisect_right(self.changes, day, key=lambda change: change.since) - 1, 0)
        cycle = self.changes[number].cycle
        whole = cycle.period_of(day)
        begin = self.changes[number].since if number else date.min
        following = number + 1
        end = self.changes[following].since if following < len(self.changes) else date.max
        period = whole.within(begin, end)
        assert period is not None, "it holds the day"
        return Part(period, whole, cycle.unit)

    def parts(self, start: date, end: date) -> Iterator[Part]:
        """Yield the parts of the days from `start` on, before `end`, cut to them, in order."""
        day = start
        while day < end:
            part = self.part_of(day)
            cut = part.period.within(start, end)
            assert cut is not None, "it holds the day"
            yield Part(cut, part.whole, part.unit)
            day = part.period.end

    def changed(self, since: date, cycle: Cycle) -> "Calendar":
        """Return the calendar with a cycle from a day on, in the place of what was to hold then."""
        kept = tuple(change for change in self.changes if change.since < since)
        return Calendar((*kept, Change(since, cycle)))


def midnight(day: date, zone: ZoneInfo) -> datetime:
    """Return the moment (UTC) at which a local day begins: usually 00:00.

    Where clocks are put forward over midnight the day begins at the first moment that is of it;
    where the zone has no such day at all (Samoa, 2011-12-30), that is when the next one begins.
    """
    wall = datetime.combine(day, time.min, zone)
    earlier, later = (wall.replace(fold=fold).astimezone(UTC) for fold in (1, 0))
    if earlier >= later:
        return later  # 00:00 is there once, or twice: then the first
    # 00:00 is skipped; the clocks were put forward somewhere between these two.
    while later - earlier > _SECOND:
        middle = earlier + ((later - earlier) // 2 // _SECOND) * _SECOND
        if middle.astimezone(zone).date() >= day:
            later = middle
        else:
            earlier = middle
    return later


def local_day(moment: datetime, zone: ZoneInfo) -> date:
    """Return the day that a moment is in: the last one that has begun, by `midnight`."""
    day = moment.astimezone(zone).date() + _DAY
    while midnight(day, zone) > moment:
        day -= _DAY
    return day


def _month_number(day: date) -> int:
    return day.year * 12 + day.month - 1
