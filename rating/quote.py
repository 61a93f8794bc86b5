"""What a session would cost, and how far an amount would take it, without anything being charged.

A quote is rated as a session is that begins at that moment, for an account that stands as `Sharing`
says; nothing that it is given is changed.
"""

from collections.abc import Callable

import msgspec

from rating.charge import Line
from rating.money import MAX_MICROS
from rating.plan import Plan
from rating.pool import copy
from rating.quantity import Counters
from rating.tally import Sharing, add, begin, total
from rating.tariff import MAX_OCTETS, AtMaximum

#: Beyond this it is not told how long an amount lasts: no prices hold for longer.
HORIZON_S = 366 * 86_400


class Quote(msgspec.Struct, frozen=True):
    """What usage would be charged; the lines sum to it."""

    charge_micros: int
    lines: tuple[Line, ...]


class Reach(msgspec.Struct, frozen=True):
    """How far an amount takes a session that begins now.

    `seconds` is for how many it can go on at the given pace, `octets` how many it can receive at
    once. None: without end, or beyond HORIZON_S or MAX_OCTETS.
    """

    seconds: int | None
    octets: int | None


def quote(plan: Plan, usage: Counters, at: int, sharing: Sharing) -> Quote | None:
    """Return what a session would be charged that begins at `at` and lasts `usage.seconds`.

    None if that is more than any account can hold.
    """
    tally = begin(plan, at, service=sharing.subject.service)
    if not usage:
        return Quote(0, ())
    priced = add(plan, tally, usage, at + usage.seconds, copy(sharing.pool), sharing.subject)
    if total(plan, priced.tally) > MAX_MICROS:
        return None
    return Quote(priced.charge_micros, priced.lines)


def reach(
    plan: Plan, at: int, sharing: Sharing, available_micros: int | None, pace: Counters
) -> Reach:
    """Return how far what is available takes a session; None available is unlimited credit.

    `pace` is what it uses in a second, in octets; its seconds are not read. Where the tariff ends a
    session at its maximum, that ends it, too.
    """

    def affordable(usage: Counters) -> bool:
        if available_micros is None:
            return True
        found = quote(plan, usage, at, sharing)
        return found is not None and found.charge_micros <= max(available_micros, 0)

    def runs(usage: Counters) -> bool:
        """Whether the session has not come to its maximum before its last unit."""
        tariff = plan.tariff
        if not usage or tariff.maximum_micros is None or tariff.at_maximum is not AtMaximum.CUT:
            return True
        tally = begin(plan, at, service=sharing.subject.service)
        priced = add(plan, tally, usage, at + usage.seconds, copy(sharing.pool), sharing.subject)
        return total(plan, priced.tally) < tariff.maximum_micros

    def most(of: Callable[[int], Counters], limit: int) -> int | None:
        enough = _greatest(lambda count: affordable(of(count)), limit)
        until = _greatest(lambda count: runs(of(count)), limit)
        if until is None:
            return enough
        return until + 1 if enough is None else min(enough, until + 1)

    fastest = max(pace.octets_in, pace.octets_out)
    horizon = HORIZON_S if not fastest else min(HORIZON_S, MAX_OCTETS // 2 // fastest)
    return Reach(
        most(
            lambda seconds: Counters(seconds, pace.octets_in * seconds, pace.octets_out * seconds),
            horizon,
        ),
        most(lambda octets: Counters(0, 0, octets), MAX_OCTETS // 2),
    )


def _greatest(holds: Callable[[int], bool], limit: int) -> int | None:
    """Return the greatest count that holds (0 always does); None if all up to `limit` do."""
    if holds(limit):
        return None
    low, high = 0, limit
    while high - low > 1:
        middle = (low + high) // 2
        if holds(middle):
            low = middle
        else:
            high = middle
    return low
