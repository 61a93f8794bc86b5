"""The price of usage, as a running total over the session.

A charge is the difference of two running totals (before and after a record). Rounding is applied to
the totals only, so it never adds up however the NAS slices its reports: charge(A to C) is exactly
charge(A to B) + charge(B to C).
"""

import enum
from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from rating.quantity import Counters
from rating.tariff import Counter, Rule, Tariff


class LineKind(enum.StrEnum):
    """What a line of an explanation stands for."""

    CONNECT_FEE = "connect_fee"
    USAGE = "usage"
    MINIMUM = "minimum"
    MAXIMUM = "maximum"
    ALLOWANCE = "allowance"


class Line(msgspec.Struct, frozen=True, omit_defaults=True):
    """One reason for a part of a charge. The lines of a charge sum to it exactly.

    For a usage line `units` is what was used, `billed_units` what its steps made of it, and
    `price_micros` the price of `per_units` of them (with tiers: of the first of them, which found
    `cycle_units` billed in the cycle before); of the units, `covered_units` were an allowance's.
    `rule` counts from 1.

    An allowance's line says how many units of `allowance` were used, of how many left; only
    promotional money has an amount, which is negative.
    """

    kind: LineKind
    amount_micros: int
    counter: Counter | None = None
    units: int = 0
    billed_units: int = 0
    price_micros: int = 0
    per_units: int = 1
    rule: int = 0
    bands: tuple[str, ...] = ()
    covered_units: int = 0
    cycle_units: int = 0
    allowance: str = ""
    left_before: int = 0
    left_after: int = 0


_UNITS: Final[Mapping[Counter, Callable[[Counters], int]]] = {
    Counter.SECONDS: lambda used: used.seconds,
    Counter.OCTETS_IN: lambda used: used.octets_in,
    Counter.OCTETS_OUT: lambda used: used.octets_out,
    Counter.OCTETS_TOTAL: lambda used: used.octets_in + used.octets_out,
    Counter.EVENT: lambda used: 1 if used else 0,
}


def units_of(counter: Counter, used: Counters) -> int:
    """Return how many units of a counter were used."""
    return _UNITS[counter](used)


def billed_units(rule: Rule, units: int) -> int:
    """Return the units that are billed for `units` used: whole steps, none for nothing."""
    if units <= 0:
        return 0
    if units <= rule.first_units:
        return rule.first_units
    further = -(-(units - rule.first_units) // rule.further_units)
    return rule.first_units + further * rule.further_units


def rule_amount(rule: Rule, billed: int) -> int:
    """Return the micros for billed units, rounded once: the nearest, halves up.

    Micros are fine enough that the direction matters to nobody; the nearest is the fairest.
    """
    # divide(..., HALF_UP) of what is never negative: this is done twice for every record.
    return (2 * billed * rule.price_micros + rule.per_units) // (2 * rule.per_units)


def running_total(tariff: Tariff, used: Counters) -> int:
    """Return the micros that a session which used this much costs so far.

    Monotone in every counter, and 0 for a session that used nothing. The work does not depend on
    how much was used.
    """
    if not (used.octets_out or used.octets_in or used.seconds):
        return 0
    total = tariff.connect_fee_micros
    for rule in tariff.rules:
        total += rule_amount(rule, billed_units(rule, _UNITS[rule.counter](used)))
    return max(tariff.minimum_micros, total)


def explain_total(tariff: Tariff, used: Counters) -> tuple[Line, ...]:
    """Return the lines of `running_total(tariff, used)`, in the tariff's order."""
    if not used:
        return ()
    lines: list[Line] = []
    if tariff.connect_fee_micros:
        lines.append(Line(LineKind.CONNECT_FEE, tariff.connect_fee_micros))
    for rule in tariff.rules:
        units = units_of(rule.counter, used)
        billed = billed_units(rule, units)
        lines.append(
            Line(
                kind=LineKind.USAGE,
                amount_micros=rule_amount(rule, billed),
                counter=rule.counter,
                units=units,
                billed_units=billed,
                price_micros=rule.price_micros,
                per_units=rule.per_units,
            )
        )
    missing = tariff.minimum_micros - sum(line.amount_micros for line in lines)
    if missing > 0:
        lines.append(Line(LineKind.MINIMUM, missing))
    return tuple(lines)


def explain_charge(tariff: Tariff, before: Counters, after: Counters) -> tuple[Line, ...]:
    """Return the lines of the charge for going from `before` to `after`, in the same session.

    Each is the difference of the line's two totals, so an amount may be 0 (inside a step already
    paid) and the minimum's may be negative (usage has come up to it). They sum to
    `running_total(after) - running_total(before)`.
    """
    old = {(line.kind, line.counter): line for line in explain_total(tariff, before)}
    new = {(line.kind, line.counter): line for line in explain_total(tariff, after)}
    lines: list[Line] = []
    for key in new | old:
        then, now = old.get(key), new.get(key)
        some = now or then
        assert some is not None
        line = msgspec.structs.replace(
            some,
            amount_micros=_amount(now) - _amount(then),
            units=(now.units if now else 0) - (then.units if then else 0),
            billed_units=(now.billed_units if now else 0) - (then.billed_units if then else 0),
        )
        if line.amount_micros or line.units:
            lines.append(line)
    return tuple(lines)


def _amount(line: Line | None) -> int:
    return 0 if line is None else line.amount_micros
