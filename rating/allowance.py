"""Units that are used up before money is: what plans grant, and the buckets an account has.

A bucket is drawn on by usage of its own time only (it has a beginning and maybe an end), so usage
that is reported late still draws on the bucket of then. Buckets burn in a fixed order: the lowest
priority number first, then the soonest to expire, then the oldest.
"""

import enum
from typing import Final

import msgspec

from rating.calendar import Period
from rating.money import MAX_MICROS
from rating.tariff import MAX_OCTETS, Counter

#: The time of what never ends.
NEVER: Final = 2**62

_OCTETS = frozenset({Counter.OCTETS_IN, Counter.OCTETS_OUT, Counter.OCTETS_TOTAL})


class Unit(enum.StrEnum):
    """What an allowance is of. `money` is promotional: it pays charges before the balance does."""

    OCTETS = "octets"
    SECONDS = "seconds"
    MONEY = "money"


class Scope(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Which usage an allowance may be used for; what is empty does not restrict."""

    counters: tuple[Counter, ...] = ()
    bands: tuple[str, ...] = ()
    services: tuple[str, ...] = ()

    def covers(self, counter: Counter, band: str, service: str) -> bool:
        """Return whether usage of a counter in a band by a service is within."""
        return (
            (not self.counters or counter in self.counters)
            and (not self.bands or band in self.bands)
            and (not self.services or service in self.services)
        )


EVERYTHING: Final = Scope()


class Allowance(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a plan grants, anew each period (of `days` days if that is the period).

    At a renewal up to `rollover` units of what is left go over into the next period. A shared one
    is used by all subscribers of an account on the plan together, else each has its own.
    """

    name: str
    unit: Unit
    amount: int
    priority: int = 100
    period: Period = Period.CYCLE
    days: int = 0
    rollover: int = 0
    scope: Scope = EVERYTHING
    shared: bool = True

    def faults(self) -> list[str]:
        """Return what is wrong, each with what is allowed."""
        most = MAX_MICROS if self.unit is Unit.MONEY else MAX_OCTETS // 2
        faults = [
            f"allowance {self.name}: {key} is {value}, allowed is {low} to {high}"
            for key, value, low, high in (
                ("amount", self.amount, 0, most),
                ("rollover", self.rollover, 0, most),
                ("priority", self.priority, 0, 1_000_000),
                ("days", self.days, 1 if self.period is Period.DAYS else 0, 3_660),
            )
            if not low <= value <= high
        ]
        if not self.name or len(self.name) > 64 or not self.name.isprintable():
            faults.append("an allowance needs a name of 1 to 64 printable characters")
        if self.days and self.period is not Period.DAYS:
            faults.append(f"allowance {self.name}: days are for the period days only")
        if self.rollover and self.period is Period.ONCE:
            faults.append(f"allowance {self.name}: what is granted once does not roll over")
        faults += scope_faults(self.name, self.unit, self.scope)
        return faults


def scope_faults(name: str, unit: Unit, scope: Scope) -> list[str]:
    """Return why an allowance of a unit cannot have a scope."""
    fitting = {
        Unit.OCTETS: _OCTETS,
        Unit.SECONDS: frozenset({Counter.SECONDS}),
        Unit.MONEY: frozenset[Counter](),
    }[unit]
    if unit is Unit.MONEY and scope != EVERYTHING:
        return [f"allowance {name}: money pays for everything, a scope is not possible"]
    return [
        f"allowance {name}: {unit} cannot be used for {counter}"
        for counter in scope.counters
        if counter not in fitting
    ]


class Bucket(msgspec.Struct, array_like=True):
    """One grant of an allowance: `left` of `amount` units, for usage in [since, until).

    `plan` is empty unless only that plan's sessions may use it, `owner` unless only that user name
    may. `order` numbers the account's buckets as they were granted; `number` is that of the period.
    `source` is plan, or what it came by (topup, promotion).
    """

    name: str
    unit: Unit
    amount: int
    left: int
    priority: int
    since: int
    until: int
    order: int = 0
    scope: Scope = EVERYTHING
    plan: str = ""
    owner: str = ""
    number: int = 0
    source: str = "plan"

    @property
    def burn_order(self) -> tuple[int, int, int, int]:
        """What buckets are sorted by for being used up."""
        return self.priority, self.until, self.since, self.order

    def open_to(self, plan: str, owner: str) -> bool:
        """Return whether a session of a plan and a user name may draw on it."""
        return (not self.plan or self.plan == plan) and (not self.owner or self.owner == owner)
