"""What is known of a customer. Pure."""

import re
from datetime import date, datetime
from typing import Final

import msgspec

from billing.errors import InvalidInput
from billing.identifiers import identifier
from billing.taxes.treatment import TaxStatus

_COUNTRY: Final = re.compile(r"[A-Z]{2}")
#: Enough to refuse what is no address; whether it exists only a message can tell.
_EMAIL: Final = re.compile(r"[^@\s]{1,64}@[^@\s.]+(\.[^@\s.]+)+")
MAX_TEXT_OCTETS: Final = 255


class Details(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Personal data of a customer. Empty: not known.

    `country` is an ISO 3166-1 code of two letters; `tax_jurisdiction` and `tax_category` are those
    of billing.taxes, None for what follows from the country and what is sold.
    """

    name: str = ""
    company: str = ""
    email: str = ""
    phone: str = ""
    street: str = ""
    postal_code: str = ""
    city: str = ""
    region: str = ""
    country: str = ""
    tax_id: str = ""
    tax_status: TaxStatus = TaxStatus.TAXABLE
    tax_jurisdiction: str | None = None
    tax_category: str | None = None
    tax_certificate: str | None = None
    tax_certificate_expires: date | None = None
    tax_exemption_reason: str = ""


class Customer(msgspec.Struct, frozen=True):
    """A customer at one moment; `details` is None once they are erased."""

    customer_id: str
    revision: int
    created_at: datetime
    erased_at: datetime | None
    details: Details | None


def customer_id(text: str) -> str:
    """Return a customer's id if it can be one. Raises InvalidInput."""
    return identifier(text, "customer")


def check(details: Details) -> Details:
    """Return details if they can be. Raises InvalidInput, with every fault."""
    faults = [
        f"{name}: allowed are at most {MAX_TEXT_OCTETS} printable octets"
        for name, value in msgspec.structs.asdict(details).items()
        if isinstance(value, str)
        and (not value.isprintable() or len(value.encode(errors="replace")) > MAX_TEXT_OCTETS)
    ]
    if details.country and not _COUNTRY.fullmatch(details.country):
        faults.append(f"country {details.country!r}: allowed is an ISO 3166-1 code such as DE")
    if details.email and not _EMAIL.fullmatch(details.email):
        faults.append("email: allowed is one address such as anna@example.org")
    if details.tax_status is TaxStatus.EXEMPT and not details.tax_certificate:
        faults.append("tax_status exempt: needs a tax_certificate")
    if details.tax_status is TaxStatus.REVERSE_CHARGE and not details.tax_id:
        faults.append("tax_status reverse_charge: needs a tax_id")
    if faults:
        raise InvalidInput("; ".join(faults))
    return details
