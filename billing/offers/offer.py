"""What an offer is: the charges of a service, and the plan that prices its usage. Pure."""

import enum
import re
from typing import Final

import msgspec

from billing.coupons.discount import Terms
from billing.cycles.calendar import Unit
from billing.cycles.proration import DayCount, minor_unit
from billing.errors import InvalidInput
from rating.money import EXPONENTS, MAX_MICROS, format_micros

MAX_CHARGES: Final = 50

#: The code of the line that makes up for a minimum commitment.
MINIMUM_CODE: Final = "minimum"

_CODE: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,31}")
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class Timing(enum.StrEnum):
    """Whether a charge is billed when its period begins, or when it ends."""

    ADVANCE = "advance"
    ARREARS = "arrears"


class RecurringCharge(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a service costs each period; `every` None is the account's own cycle.

    `prorated` False: a period that is begun costs all of it, and nothing is given back.
    """

    code: str
    description: str
    amount_micros: int
    every: Unit | None = None
    timing: Timing = Timing.ADVANCE
    prorated: bool = True
    day_count: DayCount = DayCount.ACTUAL
    tax_category: str = ""


class OneOffCharge(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a service costs once, when it first comes on the offer: set-up, equipment."""

    code: str
    description: str
    amount_micros: int
    tax_category: str = ""


class Offer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One version of an offer; it never changes. Creating a faulty one raises InvalidInput.

    `plan` prices the usage of the service's subscriber; None if it has none. A bundle is an offer
    of several charges with a `discount` of its own on them, before all others.
    `minimum_micros` is what the service brings at least in a billing cycle, in whole minor units,
    before discounts and tax.
    """

    name: str
    version: int
    currency: str
    description: str = ""
    plan: str | None = None
    recurring: tuple[RecurringCharge, ...] = ()
    one_off: tuple[OneOffCharge, ...] = ()
    discount: Terms | None = None
    minimum_micros: int = 0
    usage_tax_category: str = ""

    def __post_init__(self) -> None:
        faults = self._faults()
        if faults:
            raise InvalidInput(f"offer {self.name!r}: " + "; ".join(faults))

    def per_year_micros(self) -> int:
        """Return what its recurring charges come to in a year of 12 months and 52 weeks, to compare
        offers; one that follows the account's cycle counts as monthly.
        """
        return sum(
            charge.amount_micros * (12 // months if (months := unit.months) else 52)
            for charge in self.recurring
            for unit in [charge.every or Unit.MONTH]
        )

    def _faults(self) -> list[str]:
        faults: list[str] = []
        if not _NAME.fullmatch(self.name):
            faults.append("name: allowed are 1 to 64 letters, digits and . _ -")
        if self.currency not in EXPONENTS:
            faults.append(f"currency {self.currency!r}: allowed is an ISO 4217 code such as EUR")
            return faults
        charges = [*self.recurring, *self.one_off]
        if len(charges) > MAX_CHARGES:
            faults.append(f"it has {len(charges)} charges, allowed are {MAX_CHARGES}")
        codes = [charge.code for charge in charges]
        faults += [f"two charges have the code {c!r}" for c in {*codes} if codes.count(c) > 1]
        for charge in charges:
            if not _CODE.fullmatch(charge.code) or charge.code == MINIMUM_CODE:
                faults.append(
                    f"code {charge.code!r}: allowed are 1 to 32 of a-z 0-9 . _ -,"
                    f" but not {MINIMUM_CODE!r}"
                )
            if not charge.description.strip():
                faults.append(f"charge {charge.code}: it needs a description, for the invoice")
            faults += self._amount_faults(charge.code, charge.amount_micros)
        faults += self._amount_faults(MINIMUM_CODE, self.minimum_micros)
        if self.discount is not None and self.discount.currency not in (None, self.currency):
            faults.append(f"its discount is in {self.discount.currency}, and not {self.currency}")
        return faults

    def _amount_faults(self, what: str, micros: int) -> list[str]:
        if 0 <= micros <= MAX_MICROS and micros % minor_unit(self.currency) == 0:
            return []
        told = f"{format_micros(micros, self.currency)} {self.currency}"
        return [f"{what}: {told}; allowed are whole minor units from 0 on"]
