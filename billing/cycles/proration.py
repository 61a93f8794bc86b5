"""The price of a part of a period: by days, exact, rounded once. Pure."""

import enum
from datetime import date
from typing import Final

from billing.cycles.calendar import Cycle, Part, Period, Unit
from rating.money import EXPONENTS, Rounding, divide

_UNIT_DECIMALS: Final = 6


class DayCount(enum.StrEnum):
    """What the days of a part are counted against.

    ACTUAL: the days of the whole period. FIXED_30: 30 for each month of it; the 31st day of a month
    then costs nothing, and the last day of a shorter one what is missing, so that the parts of a
    period are always the whole of it.
    """

    ACTUAL = "actual"
    FIXED_30 = "fixed-30"


def minor_unit(currency: str) -> int:
    """Return the smallest amount that a document of a currency can show, in micros."""
    return 10 ** (_UNIT_DECIMALS - EXPONENTS[currency])


def to_minor_unit(numerator: int, denominator: int, currency: str) -> int:
    """Return numerator / denominator micros as whole minor units, halves away from zero."""
    unit = minor_unit(currency)
    return divide(numerator, denominator * unit, Rounding.HALF_UP) * unit


def fraction(part: Part, day_count: DayCount = DayCount.ACTUAL) -> tuple[int, int]:
    """Return what share of its whole period a part is, as numerator and denominator in days.

    The shares of parts that make up a period sum to one. A week has no fixed days.
    """
    if day_count is DayCount.ACTUAL or part.unit is Unit.WEEK:
        return part.period.days, part.whole.days
    to, since = (_day_of_30(part.whole, day) for day in (part.period.end, part.period.start))
    return to - since, 30 * part.unit.months


def prorate(
    price_micros: int, part: Part, currency: str, day_count: DayCount = DayCount.ACTUAL
) -> int:
    """Return the price of a part of a period whose whole price is given.

    A whole period costs the price as it is; the fraction of a part is exact, and its price is
    rounded once, to the minor unit of the currency, halves away from zero.
    """
    if part.is_whole:
        return price_micros
    days, of = fraction(part, day_count)
    return to_minor_unit(price_micros * days, of, currency)


def _day_of_30(whole: Period, day: date) -> int:
    """How many days of 30 to a month are before a day of a period.

    A month of the period begins on the day of the month on which the period does.
    """
    if day >= whole.end:
        return 30 * _months_of(whole)
    months = 0
    start = whole.start
    while (after := _next_month(start, whole)) <= day:
        start = after
        months += 1
    return 30 * months + min((day - start).days, 30)


def _months_of(whole: Period) -> int:
    return (whole.end.year - whole.start.year) * 12 + whole.end.month - whole.start.month


def _next_month(start: date, whole: Period) -> date:
    """The day a month after one, in a period that begins and ends on the same day of the month."""
    day = max(whole.start.day, whole.end.day)
    return Cycle(Unit.MONTH, day).period_of(start).end
