"""How long and how far money reaches under a plan, for a session that begins. Pure."""

from collections.abc import Callable
from typing import Literal

from rating.charge import running_total
from rating.plan import Plan
from rating.quantity import Counters

Scope = Literal["in", "out", "total"]

#: More seconds or octets than these are no limit: a year, and 2^62.
MOST_SECONDS = 366 * 86_400
MOST_OCTETS = 2**62


def wanted(plan: Plan, seconds: int) -> int:
    """Return the micros to reserve for a session's first so many seconds.

    As rating.reservation has it for a session of which nothing is known: at least the plan's
    reserve in each direction.
    """
    used = Counters(seconds, plan.reserve_octets, plan.reserve_octets)
    return running_total(plan.tariff, used)


def seconds_for(plan: Plan, micros: int) -> int | None:
    """Return the greatest number of seconds that cost at most so much; None for no limit."""
    return _greatest(
        MOST_SECONDS, lambda n: running_total(plan.tariff, Counters(n)) <= max(micros, 0)
    )


def octets_for(plan: Plan, micros: int, scope: Scope) -> int | None:
    """Return the greatest number of octets that cost at most so much; None for no limit.

    Of octets in total those that cost the most are reckoned with: all in one direction.
    """

    def affordable(octets: int) -> bool:
        directions = {
            "in": [Counters(0, octets, 0)],
            "out": [Counters(0, 0, octets)],
            "total": [Counters(0, octets, 0), Counters(0, 0, octets)],
        }
        return all(running_total(plan.tariff, used) <= max(micros, 0) for used in directions[scope])

    return _greatest(MOST_OCTETS, affordable)


def _greatest(most: int, affordable: Callable[[int], bool]) -> int | None:
    """The greatest number up to `most` that is affordable, by halving; None if all are."""
    if affordable(most):
        return None
    low, high = 0, most
    while high - low > 1:
        middle = (low + high) // 2
        if affordable(middle):
            low = middle
        else:
            high = middle
    return low
