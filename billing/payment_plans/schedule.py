"""Instalments: how a debt is cut into them, and what is due of them. Pure."""

import enum
from collections.abc import Sequence
from datetime import date, timedelta
from typing import Final

import msgspec

from billing.cycles.calendar import Cycle, Unit
from billing.cycles.proration import minor_unit
from billing.errors import InvalidInput
from rating.money import format_micros

MAX_INSTALMENTS: Final = 120


class Instalment(msgspec.Struct, frozen=True):
    """A part of a debt (micros, whole minor units), and the local day on which it is due."""

    number: int
    due_on: date
    amount_micros: int


class Standing(enum.StrEnum):
    """Where a payment plan stands."""

    ACTIVE = "active"
    COMPLETED = "completed"
    DEFAULTED = "defaulted"


def instalments(
    debt_micros: int, number: int, *, first_due: date, every: Unit, currency: str
) -> tuple[Instalment, ...]:
    """Cut a debt into equal instalments that sum exactly to it; the last one takes the remainder.

    They are due on `first_due` and every week, month... after it; on the last day of a month that
    does not have that day. Raises InvalidInput if the debt cannot be cut into so many.
    """
    unit = minor_unit(currency)
    if not 2 <= number <= MAX_INSTALMENTS:
        raise InvalidInput(f"{number} instalments: allowed is 2 to {MAX_INSTALMENTS}")
    if debt_micros % unit or debt_micros < number * unit:
        raise InvalidInput(
            f"a debt of {format_micros(debt_micros, currency)} {currency} cannot be cut into"
            f" {number} instalments of whole minor units"
        )
    equal = debt_micros // unit // number * unit
    amounts = [equal] * (number - 1) + [debt_micros - equal * (number - 1)]
    days = _days(first_due, every, number)
    return tuple(
        Instalment(index, day, amount)
        for index, (day, amount) in enumerate(zip(days, amounts, strict=True), 1)
    )


def due_micros(plan: Sequence[Instalment], outstanding_micros: int, today: date) -> int:
    """Return what is to be collected now: what has become due less what was paid, never more than
    is outstanding.

    What was paid, credited or written off since is the whole debt less what is outstanding; it goes
    to the oldest instalments first.
    """
    become_due = sum(each.amount_micros for each in plan if each.due_on <= today)
    paid = max(sum(each.amount_micros for each in plan) - outstanding_micros, 0)
    return min(max(become_due - paid, 0), max(outstanding_micros, 0))


def standing(
    plan: Sequence[Instalment], outstanding_micros: int, today: date, grace_days: int
) -> Standing:
    """Return where a plan stands on a day: done once nothing is outstanding, broken once an
    instalment is not wholly paid `grace_days` after its day.
    """
    if outstanding_micros <= 0:
        return Standing.COMPLETED
    missed = due_micros(plan, outstanding_micros, today - timedelta(days=grace_days + 1))
    return Standing.DEFAULTED if missed else Standing.ACTIVE


def _days(first: date, every: Unit, number: int) -> list[date]:
    days = [first]
    cycle = Cycle(every, first.isoweekday() if every is Unit.WEEK else first.day, first.month)
    while len(days) < number:
        days.append(cycle.period_of(days[-1]).end)
    return days
