"""A dunning campaign: its steps, and when they must not be taken. Pure."""

import enum
from datetime import date, timedelta
from itertools import pairwise
from typing import Final

import msgspec

from billing.cycles.proration import to_minor_unit
from billing.errors import InvalidInput
from rating.money import EXPONENTS

MAX_STEPS: Final = 50
MAX_DAYS: Final = 3650
_WHOLE_BASIS_POINTS: Final = 10_000


class Action(enum.StrEnum):
    """What a step does.

    REACTIVATION_FEE: from that step on a service that is restored costs its fee.
    """

    REMIND = "remind"
    LATE_FEE = "late-fee"
    THROTTLE = "throttle"
    SUSPEND = "suspend"
    REACTIVATION_FEE = "reactivation-fee"
    TERMINATE = "terminate"

    @property
    def disrupts(self) -> bool:
        """Whether the customer's service suffers, so that weekdays and holidays are heeded."""
        return self in _DISRUPTS


_DISRUPTS: Final = frozenset({Action.THROTTLE, Action.SUSPEND, Action.TERMINATE})
_FEES: Final = frozenset({Action.LATE_FEE, Action.REACTIVATION_FEE})


class Step(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is done so many days after the oldest overdue debt was due.

    A fee is `fee_micros` by currency, or `fee_basis_points` (hundredths of a percent) of what is
    overdue. `plan` is what a throttled subscriber is moved to. `template` is the message's; empty
    for the action's own.
    """

    after_days: int
    action: Action
    fee_micros: dict[str, int] = {}
    fee_basis_points: int | None = None
    plan: str | None = None
    template: str = ""


class Campaign(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Steps in order, with what bounds them. Creating a faulty one raises InvalidInput.

    `threshold_micros`, by currency: what is overdue up to there is let be. `restore_micros`: what
    may remain after a payment for the service to be restored; the higher of the two counts. Steps
    are taken at `hour` (local) or later, and those that disrupt not on `never_on` (1 Monday to 7
    Sunday) nor on `holidays`, but on the next day that is neither.
    """

    name: str
    steps: tuple[Step, ...]
    threshold_micros: dict[str, int] = {}
    restore_micros: dict[str, int] = {}
    hour: int = 9
    never_on: tuple[int, ...] = (6, 7)
    holidays: frozenset[date] = frozenset()

    def __post_init__(self) -> None:
        faults = [*self._faults(), *(f for step in self.steps for f in _faults_of(step))]
        if faults:
            raise InvalidInput(f"campaign {self.name!r}: " + "; ".join(faults))

    def _faults(self) -> list[str]:
        faults: list[str] = []
        if not 1 <= len(self.name) <= 64 or not self.name.isprintable():
            faults.append("name must be 1 to 64 printable characters")
        if not 1 <= len(self.steps) <= MAX_STEPS:
            faults.append(f"it has {len(self.steps)} steps, allowed is 1 to {MAX_STEPS}")
        if any(a.after_days > b.after_days for a, b in pairwise(self.steps)):
            faults.append("steps must be in the order of their days")
        actions = [step.action for step in self.steps]
        if Action.TERMINATE in actions[:-1]:
            faults.append("terminate can only be the last step")
        if not 0 <= self.hour <= 23:
            faults.append(f"hour is {self.hour}, allowed is 0 to 23")
        if not set(self.never_on) < set(range(1, 8)):
            faults.append("never_on holds weekdays, 1 Monday to 7 Sunday, and not all of them")
        for name, amounts in (
            ("threshold_micros", self.threshold_micros),
            ("restore_micros", self.restore_micros),
        ):
            faults += _amount_faults(name, amounts)
        return faults

    def let_be(self, currency: str) -> int:
        """Return up to which overdue amount nothing is begun."""
        return self.threshold_micros.get(currency, 0)

    def cleared_at(self, currency: str) -> int:
        """Return at which overdue amount a process ends and the service is restored."""
        return max(self.let_be(currency), self.restore_micros.get(currency, 0))

    def allowed_from(self, day: date) -> date:
        """Return the first day from this one on on which a service may be disrupted."""
        while day.isoweekday() in self.never_on or day in self.holidays:
            day += timedelta(days=1)
        return day


def fee_of(step: Step, overdue_micros: int, currency: str) -> int:
    """Return the fee of a step, in whole minor units; 0 if it has none in that currency."""
    if step.fee_basis_points is not None:
        return to_minor_unit(overdue_micros * step.fee_basis_points, _WHOLE_BASIS_POINTS, currency)
    return step.fee_micros.get(currency, 0)


def _faults_of(step: Step) -> list[str]:
    where = f"{step.action} after {step.after_days} days"
    faults: list[str] = []
    if not 0 <= step.after_days <= MAX_DAYS:
        faults.append(f"{where}: allowed are 0 to {MAX_DAYS} days")
    has_fee = bool(step.fee_micros) or step.fee_basis_points is not None
    if (step.action in _FEES) != has_fee:
        faults.append(f"{where}: a fee is for the steps {', '.join(sorted(_FEES))}, and for each")
    if step.fee_micros and step.fee_basis_points is not None:
        faults.append(f"{where}: either fee_micros or fee_basis_points")
    if step.fee_basis_points is not None and not 1 <= step.fee_basis_points <= _WHOLE_BASIS_POINTS:
        faults.append(f"{where}: fee_basis_points must be 1 to {_WHOLE_BASIS_POINTS}")
    if (step.action is Action.THROTTLE) != (step.plan is not None):
        faults.append(f"{where}: a plan is for the step throttle, and it needs one")
    return faults + _amount_faults(f"{where}: fee_micros", step.fee_micros)


def _amount_faults(name: str, amounts: dict[str, int]) -> list[str]:
    return [
        f"{name} of {currency!r} is {micros}: allowed is 0 or more of an ISO 4217 currency"
        for currency, micros in amounts.items()
        if currency not in EXPONENTS or micros < 0
    ]
