"""Local time as arithmetic: how much of an interval lies in each time band, and billing periods.

Times are Unix seconds, intervals half-open. A zone is a `tzinfo` that the caller brings: nothing
here reads a file or a clock. The work does not grow with an interval's length but by the changes of
the zone's offset and the holidays in it: whole weeks are one multiplication.
"""

import bisect
import calendar
import enum
import functools
from collections.abc import Sequence
from datetime import date, datetime, timezone, tzinfo
from typing import Final

import msgspec

DAY: Final = 86_400
WEEK: Final = 7 * DAY
#: 1970-01-01 was a Thursday: the first Monday began four days later.
_MONDAY: Final = 4 * DAY

#: Offsets are looked up in blocks of about a year.
_BLOCK: Final = 400 * DAY

WEEKDAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
HOLIDAY: Final = "holiday"


class Band(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A recurring part of the week, in local time.

    From `start` until before `end` (minutes of the day; an end not after the start is on the next
    day), on each of `days` (mon to sun, holiday; a night band belongs to the day it begins on).
    Where bands overlap the greater `weight` holds, then the earlier in the tariff. Days in the
    tariff's holidays are no weekdays: only bands with "holiday" among their days begin on them.
    """

    name: str
    days: tuple[str, ...] = WEEKDAYS
    start: int = 0
    end: int = 0
    weight: int = 0

    def faults(self) -> list[str]:
        """Return what is wrong, each with what is allowed."""
        faults: list[str] = []
        if not self.name or not self.name.isprintable() or len(self.name) > 64:
            faults.append("a band needs a name of 1 to 64 printable characters")
        allowed = (*WEEKDAYS, HOLIDAY)
        faults += [
            f"band {self.name}: day {day!r} is not known, allowed are {', '.join(allowed)}"
            for day in self.days
            if day not in allowed
        ]
        if not self.days:
            faults.append(f"band {self.name}: days are missing")
        for key in ("start", "end"):
            if not 0 <= getattr(self, key) < 24 * 60:
                faults.append(f"band {self.name}: {key} is not a time of day (00:00 to 23:59)")
        return faults


class Calendar:
    """The bands of a tariff in one time zone. Band 0 is the time that no band covers."""

    def __init__(self, bands: Sequence[Band], holidays: Sequence[date], zone: tzinfo) -> None:
        self.zone = zone
        self.count = len(bands) + 1
        self._bands = bands
        # By weight, the weakest first, so that stronger ones are painted over them.
        self._order = sorted(range(len(bands)), key=lambda at: (bands[at].weight, -at))
        self._week = _Pattern(self._painted([set(WEEKDAYS[day : day + 1]) for day in range(7)]))
        self._special = sorted({day.toordinal() + near for day in holidays for near in (0, 1)})
        self._holidays = {day.toordinal() for day in holidays}
        self._epoch = date(1970, 1, 1).toordinal()

    def seconds(self, start: int, end: int) -> list[int]:
        """Return how many seconds of [start, end) lie in each band; they sum to end - start."""
        found = [0] * self.count
        if self.count == 1:
            found[0] = end - start
            return found
        for begin, until, offset in _offsets(self.zone, start, end):
            self._add_local(found, begin + offset, until + offset)
        return found

    def at(self, moment: int) -> int:
        """Return the band of a moment."""
        return self.seconds(moment, moment + 1).index(1) if self.count > 1 else 0

    def _add_local(self, found: list[int], start: int, end: int) -> None:
        self._week.add(found, start - _MONDAY, end - _MONDAY, 1)
        first = bisect.bisect_left(self._special, start // DAY + self._epoch)
        for ordinal in self._special[first:]:
            midnight = (ordinal - self._epoch) * DAY
            low, high = max(start, midnight), min(end, midnight + DAY)
            if midnight >= end:
                break
            if low < high:
                self._week.add(found, low - _MONDAY, high - _MONDAY, -1)
                self._day(ordinal).add(found, low - midnight, high - midnight, 1)

    @functools.lru_cache(maxsize=512)  # noqa: B019 - as long-lived as its tariff
    def _day(self, ordinal: int) -> "_Pattern":
        """The bands of one calendar day that is, or follows, a holiday."""
        before, today = self._kind(ordinal - 1), self._kind(ordinal)
        return _Pattern(self._painted([{before}, {today}]).rest(DAY))

    def _kind(self, ordinal: int) -> str:
        return HOLIDAY if ordinal in self._holidays else WEEKDAYS[(ordinal - 1) % 7]

    def _painted(self, days: list[set[str]]) -> "_Paint":
        paint = _Paint(len(days) * DAY)
        for number in self._order:
            band = self._bands[number]
            for at, kinds in enumerate(days):
                if kinds.intersection(band.days):
                    start, end = band.start * 60, band.end * 60
                    paint.over(
                        at * DAY + start, at * DAY + end + (DAY if end <= start else 0), number + 1
                    )
        return paint


class _Paint:
    """A stretch of local seconds in which later bands cover earlier ones."""

    def __init__(
        self, length: int, starts: list[int] | None = None, bands: list[int] | None = None
    ):
        self.length = length
        self.starts = [0] if starts is None else starts
        self.bands = [0] if bands is None else bands

    def over(self, start: int, end: int, band: int) -> None:
        """Cover [start, end); what goes beyond the end comes round to the beginning."""
        if end > self.length:
            self.over(0, end - self.length, band)
            end = self.length
        if start >= end:
            return
        first, last = self._cut(start), self._cut(end)
        self.starts[first:last] = [start]
        self.bands[first:last] = [band]

    def _cut(self, at: int) -> int:
        """Have a piece begin at a second, and return its index."""
        index = bisect.bisect_left(self.starts, at)
        if index < len(self.starts) and self.starts[index] == at:
            return index
        if at < self.length:
            self.starts.insert(index, at)
            self.bands.insert(index, self.bands[index - 1])
        return index

    def rest(self, since: int) -> "_Paint":
        """Return what there is from a second on."""
        first = self._cut(since)
        rest = _Paint(self.length - since)
        rest.starts = [start - since for start in self.starts[first:]]
        rest.bands = self.bands[first:]
        return rest


class _Pattern:
    """Bands over a stretch of time that repeats, with sums up to each change."""

    def __init__(self, paint: _Paint) -> None:
        self._length = paint.length
        self._starts, self._of = paint.starts, paint.bands
        totals: dict[int, int] = {}
        self._sums: list[dict[int, int]] = []
        ends = [*self._starts[1:], self._length]
        for start, end, band in zip(self._starts, ends, self._of, strict=True):
            self._sums.append(dict(totals))
            totals[band] = totals.get(band, 0) + end - start
        self._totals = totals

    def add(self, found: list[int], start: int, end: int, sign: int) -> None:
        """Add (or, by the sign, take away) the seconds of [start, end) of each band."""
        at = bisect.bisect_right(self._starts, start % self._length) - 1
        last = (
            start
            - start % self._length
            + (self._starts[at + 1] if at + 1 < len(self._starts) else self._length)
        )
        if end <= last:  # within one piece, as almost all intervals are
            found[self._of[at]] += sign * (end - start)
            return
        self._up_to(found, end, sign)
        self._up_to(found, start, -sign)

    def _up_to(self, found: list[int], moment: int, sign: int) -> None:
        weeks, rest = divmod(moment, self._length)
        if weeks:
            for band, seconds in self._totals.items():
                found[band] += sign * weeks * seconds
        at = bisect.bisect_right(self._starts, rest) - 1
        for band, seconds in self._sums[at].items():
            found[band] += sign * seconds
        found[self._of[at]] += sign * (rest - self._starts[at])


def _offset(zone: tzinfo, moment: int) -> int:
    """The zone's seconds east of UTC at a moment."""
    offset = datetime.fromtimestamp(moment, zone).utcoffset()
    assert offset is not None
    return offset.days * DAY + offset.seconds


@functools.lru_cache(maxsize=4096)
def _changes(zone: tzinfo, block: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Where in a block of time a zone's offset changes, and the offsets from the start on."""
    start, offset = block * _BLOCK, _offset(zone, block * _BLOCK)
    moments, offsets = [start], [offset]
    for day in range(start, start + _BLOCK, DAY):
        low, high = day, day + DAY
        while (later := _offset(zone, high)) != offset:
            while high - low > 1:
                middle = (low + high) // 2
                if _offset(zone, middle) == offset:
                    low = middle
                else:
                    high = middle
            offset = _offset(zone, high)
            moments.append(high)
            offsets.append(offset)
            low, high = high, day + DAY
            if later == offset:
                break
    return tuple(moments), tuple(offsets)


def _offsets(zone: tzinfo, start: int, end: int) -> list[tuple[int, int, int]]:
    """The pieces of [start, end) within which the zone's offset is the same."""
    if zone is UTC:
        return [(start, end, 0)]
    pieces: list[tuple[int, int, int]] = []
    while start < end:
        block = start // _BLOCK
        moments, offsets = _changes(zone, block)
        at = bisect.bisect_right(moments, start) - 1
        until = moments[at + 1] if at + 1 < len(moments) else (block + 1) * _BLOCK
        pieces.append((start, min(until, end), offsets[at]))
        start = until
    return pieces


UTC: Final = timezone.utc  # noqa: UP017 - one object, by which it is known


class Period(enum.StrEnum):
    """What an allowance is renewed by, and what tiers count over.

    `cycle` is the account's month, from its billing day on; `days` so many whole days of 24 hours
    from the first use on; `once` never ends.
    """

    CYCLE = "cycle"
    MONTH = "month"
    WEEK = "week"
    DAY = "day"
    DAYS = "days"
    ONCE = "once"


class Cycle(msgspec.Struct, frozen=True):
    """How periods lie in time for an account: its zone, and the day on which its months begin.

    A month too short for `billing_day` begins on its last day.
    """

    zone: tzinfo = UTC
    billing_day: int = 1

    def number(self, period: Period, moment: int) -> int:
        """Return which of the periods of its kind a moment is in; they count upwards by one."""
        if period is Period.ONCE or period is Period.DAYS:
            return 0
        local = datetime.fromtimestamp(moment, self.zone)
        if period is Period.DAY:
            return local.toordinal()
        if period is Period.WEEK:
            return (local.toordinal() - 1) // 7
        months = local.year * 12 + local.month - 1
        if period is Period.CYCLE and local.day < self._first_day(months):
            months -= 1
        return months

    def start(self, period: Period, number: int) -> int:
        """Return when a period begins: the first moment of its first local day."""
        if period is Period.ONCE or period is Period.DAYS:
            return 0
        return _start(self, period, number)

    def _first_day(self, months: int) -> int:
        if self.billing_day == 1:
            return 1
        return min(self.billing_day, calendar.monthrange(*_month(months))[1])

    def first_date(self, period: Period, number: int) -> date:
        """Return the local date on which a period begins."""
        if period is Period.DAY:
            return date.fromordinal(number)
        if period is Period.WEEK:
            return date.fromordinal(number * 7 + 1)
        year, month = _month(number)
        return date(year, month, self._first_day(number) if period is Period.CYCLE else 1)


def _month(months: int) -> tuple[int, int]:
    return months // 12, months % 12 + 1


@functools.lru_cache(maxsize=4096)
def _start(cycle: Cycle, period: Period, number: int) -> int:
    day = cycle.first_date(period, number)
    # The first second whose local date it is: midnight may not exist, or exist twice.
    noon = (day.toordinal() - date(1970, 1, 1).toordinal()) * DAY + DAY // 2
    low, high = noon - 2 * DAY, noon + 2 * DAY
    while high - low > 1:
        middle = (low + high) // 2
        if datetime.fromtimestamp(middle, cycle.zone).date() < day:
            low = middle
        else:
            high = middle
    return high
