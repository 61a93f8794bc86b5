"""Which taxes a line bears: who it is sold to, by whom, and what is sold. Pure.

The category of what is sold is the line's own, else its plan's, else the customer's, else the
seller's; the jurisdiction the line's own, else the customer's, else the seller's.
"""

import enum
from collections.abc import Iterable
from datetime import date
from typing import Final

import msgspec

from billing.errors import Conflict
from billing.taxes.rate import AppliedRate, TaxCode, TaxRate, rates_on

REVERSE_CHARGE_REASON: Final = "Reverse charge: the customer owes the VAT (Art. 196, 2006/112/EC)"
OUTSIDE_REASON: Final = "Not subject to tax"


class TaxStatus(enum.StrEnum):
    """How a customer stands to tax."""

    TAXABLE = "taxable"
    EXEMPT = "exempt"
    REVERSE_CHARGE = "reverse_charge"


class TaxParty(msgspec.Struct, frozen=True):
    """A seller or customer as taxes see it; None: it says nothing, the next one does.

    `country` is where it is established. An exemption holds up to and with the day its certificate
    expires (None: it does not expire), and is not believed without a certificate.
    """

    country: str
    jurisdiction: str | None = None
    category: str | None = None
    tax_id: str | None = None
    status: TaxStatus = TaxStatus.TAXABLE
    certificate: str | None = None
    certificate_expires: date | None = None
    exemption_reason: str = ""


def taxes_of(
    *,
    rates: Iterable[TaxRate],
    seller: TaxParty,
    customer: TaxParty,
    day: date,
    line_category: str | None = None,
    plan_category: str | None = None,
    line_jurisdiction: str | None = None,
) -> tuple[AppliedRate, ...]:
    """Return the rates for a line whose tax point is `day`, in the order they are applied.

    A seller without a jurisdiction taxes nothing. Raises Conflict where it cannot be told: no rate
    for the category, or a reverse charge without what the law asks of it.
    """
    category = line_category or plan_category or customer.category or seller.category or "standard"
    if seller.jurisdiction is None:
        return (_untaxed(seller.country, category, TaxCode.OUTSIDE, OUTSIDE_REASON),)
    jurisdiction = line_jurisdiction or customer.jurisdiction or seller.jurisdiction
    if customer.status is TaxStatus.REVERSE_CHARGE:
        _check_reverse_charge(seller, customer)
        return (_untaxed(jurisdiction, category, TaxCode.REVERSE_CHARGE, REVERSE_CHARGE_REASON),)
    if exempt_on(customer, day):
        return (_untaxed(jurisdiction, category, TaxCode.EXEMPT, _exemption(customer)),)
    found = rates_on(rates, jurisdiction, category, day)
    if not found:
        raise Conflict(
            f"there is no tax rate for category {category} in {jurisdiction} on {day};"
            " load it with 'ratewire tax load'"
        )
    return found


def exempt_on(customer: TaxParty, day: date) -> bool:
    """Return whether a customer's exemption holds on a day."""
    if customer.status is not TaxStatus.EXEMPT or not customer.certificate:
        return False
    expires = customer.certificate_expires
    return expires is None or day <= expires


def _check_reverse_charge(seller: TaxParty, customer: TaxParty) -> None:
    if not customer.tax_id:
        raise Conflict("reverse charge needs the customer's VAT id, and there is none")
    if not seller.tax_id:
        raise Conflict("reverse charge needs the seller's VAT id, and there is none")
    if seller.country == customer.country:
        raise Conflict(
            f"reverse charge is between countries, and both sides are in {seller.country}"
        )


def _exemption(customer: TaxParty) -> str:
    reason = customer.exemption_reason.strip() or "Exempt from tax"
    return f"{reason} (certificate {customer.certificate})"


def _untaxed(jurisdiction: str, category: str, code: TaxCode, reason: str) -> AppliedRate:
    return AppliedRate("VAT", jurisdiction, category, 0, code=code, reason=reason)
