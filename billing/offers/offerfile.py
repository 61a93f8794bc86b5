"""Offer files: TOML as people write it, to offers. Each faulty offer is told, with its first fault.

    [[offer]]
    name = "home"
    currency = "EUR"
    plan = "metered"
    minimum = "10.00"

    [[offer.recurring]]
    code = "access"
    description = "Internet access"
    amount = "29.90"
    every = "month"
    timing = "advance"

    [[offer.one_off]]
    code = "setup"
    description = "Set-up"
    amount = "49.00"

    [offer.discount]
    percent = "10"

Amounts are decimal texts in currency units; a discount is either a percent, with at most two
decimals, or an amount. The other keys are those of billing.offers.offer.
"""

import tomllib
from pathlib import Path
from typing import Any, Final

import msgspec

from billing.coupons.discount import Terms
from billing.cycles.calendar import Unit
from billing.cycles.proration import DayCount
from billing.errors import InvalidInput
from billing.offers.offer import Offer, OneOffCharge, RecurringCharge, Timing
from rating.money import AmountError, parse_amount

#: An offer gets its version when it is loaded.
UNVERSIONED: Final = 1

#: A percent in micros to basis points.
_PER_BASIS_POINT: Final = 10_000


class _Recurring(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    code: str
    description: str
    amount: str
    every: Unit | None = None
    timing: Timing = Timing.ADVANCE
    prorated: bool = True
    day_count: DayCount = DayCount.ACTUAL
    tax_category: str = ""


class _OneOff(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    code: str
    description: str
    amount: str
    tax_category: str = ""


class _Discount(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    percent: str | None = None
    amount: str | None = None


class _Offer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    currency: str
    description: str = ""
    plan: str | None = None
    minimum: str = "0"
    usage_tax_category: str = ""
    recurring: tuple[_Recurring, ...] = ()
    one_off: tuple[_OneOff, ...] = ()
    discount: _Discount | None = None


def read_offers(path: Path) -> list[Offer]:
    """Return the offers of a file. Raises InvalidInput with each faulty offer."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InvalidInput(f"{path}: {error}") from error
    return parse_offers(document, str(path))


def parse_offers(document: dict[str, Any], file: str) -> list[Offer]:
    """Return the offers of a document that was read from a file. Raises InvalidInput."""
    unknown = sorted(document.keys() - {"offer"})
    tables = document.get("offer", [])
    if unknown or not tables or not isinstance(tables, list):
        raise InvalidInput(f"{file}: allowed are tables [[offer]], and nothing else: {unknown}")
    offers: list[Offer] = []
    faults: list[str] = []
    for number, table in enumerate(tables, 1):  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType] -- convert says what is wrong with it
        try:
            offers.append(_offer(msgspec.convert(table, _Offer)))
        except (msgspec.ValidationError, AmountError, InvalidInput) as error:
            faults.append(f"{file}: offer {number}: {error}")
    names = [offer.name for offer in offers]
    faults += [f"{file}: two offers are named {n}" for n in {*names} if names.count(n) > 1]
    if faults:
        raise InvalidInput("\n".join(faults))
    return offers


def percent(text: str) -> int:
    """Return a percent as basis points. Raises InvalidInput for more than two decimals."""
    micros = parse_amount(text)
    if micros % _PER_BASIS_POINT:
        raise InvalidInput(f"{text} percent: allowed are at most two decimals")
    return micros // _PER_BASIS_POINT


def _offer(table: _Offer) -> Offer:
    return Offer(
        name=table.name,
        version=UNVERSIONED,
        currency=table.currency,
        description=table.description,
        plan=table.plan,
        recurring=tuple(
            RecurringCharge(
                code=each.code,
                description=each.description,
                amount_micros=parse_amount(each.amount),
                every=each.every,
                timing=each.timing,
                prorated=each.prorated,
                day_count=each.day_count,
                tax_category=each.tax_category,
            )
            for each in table.recurring
        ),
        one_off=tuple(
            OneOffCharge(
                code=each.code,
                description=each.description,
                amount_micros=parse_amount(each.amount),
                tax_category=each.tax_category,
            )
            for each in table.one_off
        ),
        discount=None if table.discount is None else _terms(table.discount, table.currency),
        minimum_micros=parse_amount(table.minimum),
        usage_tax_category=table.usage_tax_category,
    )


def _terms(discount: _Discount, currency: str) -> Terms:
    fixed = discount.amount is not None
    return Terms(
        basis_points=None if discount.percent is None else percent(discount.percent),
        amount_micros=parse_amount(discount.amount) if discount.amount is not None else None,
        currency=currency if fixed else None,
        cycles=None,
    )
