"""How long and how far money reaches, for a session that begins or runs. Pure.

All of it asks the tariff itself what further usage would cost (rating.reservation.Cost), so that
services, time bands, tiers and allowances count as they will when the usage is charged.
"""

from collections.abc import Callable
from typing import Literal

import msgspec

from balances.messages import Account
from ratewire.pipeline.credit import Credit
from ratewire.pipeline.sharing import is_needed, sharing_of
from rating.charge import running_total
from rating.plan import Plan
from rating.quantity import Counters
from rating.reservation import Cost, cost_of
from rating.tally import begin
from rating.usage import Meter, Phase

Scope = Literal["in", "out", "total"]

#: More seconds or octets than these are no limit: a month, and 2^62.
MOST_SECONDS = 31 * 86_400
MOST_OCTETS = 2**62


class Volume(msgspec.Struct, frozen=True):
    """How many octets a session may use, at most, by scope; None: any number."""

    octets_in: int | None = None
    octets_out: int | None = None
    octets_total: int | None = None


def cost_of_login(
    plan: Plan, account: Account, *, username: str, service: str, now: int
) -> Cost | None:
    """Return what usage of a session that begins now (Unix seconds) would cost.

    None if it cannot be told now: what the account shares is not understood here.
    """
    if not is_needed(plan, account, None):
        return lambda ahead: running_total(plan.tariff, ahead)
    sharing = sharing_of(plan, account, Credit(), username=username, service=service)
    if isinstance(sharing, str):
        return None
    sharing.tally = begin(plan, now, now, service)
    return cost_of(plan, Meter(0, Phase.OPEN, now, now, now), sharing)


def wanted(plan: Plan, cost: Cost, seconds: int) -> int:
    """Return the micros to reserve for a session's first so many seconds.

    As rating.reservation has it for a session of which nothing is known: at least the plan's
    reserve in each direction.
    """
    return cost(Counters(seconds, plan.reserve_octets, plan.reserve_octets))


def seconds_for(cost: Cost, micros: int) -> int | None:
    """Return the greatest number of seconds that cost at most so much; None for no limit."""
    return _greatest(MOST_SECONDS, lambda n: cost(Counters(n)) <= max(micros, 0))


def octets_for(cost: Cost, micros: int, scope: Scope, spread: int = 0) -> int | None:
    """Return the greatest number of octets that cost at most so much; None for no limit.

    Whether they are used at once or evenly over `spread` seconds, in which a dearer time band may
    begin; what the seconds themselves cost is not reckoned with. Of octets in total those that cost
    the most are: all in one direction.
    """

    idle = {seconds: cost(Counters(seconds)) for seconds in {0, spread}}

    def affordable(octets: int) -> bool:
        directions = {
            "in": [(octets, 0)],
            "out": [(0, octets)],
            "total": [(octets, 0), (0, octets)],
        }
        return all(
            cost(Counters(seconds, *used)) - unused <= max(micros, 0)
            for seconds, unused in idle.items()
            for used in directions[scope]
        )

    return _greatest(MOST_OCTETS, affordable)


def volume_for(cost: Cost, micros: int, spread: int = 0) -> Volume:
    """Return how many octets of each scope cost at most so much; see `octets_for`."""
    return Volume(
        octets_for(cost, micros, "in", spread),
        octets_for(cost, micros, "out", spread),
        octets_for(cost, micros, "total", spread),
    )


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
