"""Whom an account's documents are for: the data of its customer, as they are now."""

from collections.abc import Iterable
from typing import Final

import msgspec

from billing.customers.customer import Details
from billing.database import Connection
from billing.entities.entity import Address
from billing.invoices.invoice import Buyer
from billing.statements import load

SQL = load(__package__, "queries.sql")

_details: Final = msgspec.json.Decoder(Details).decode


async def buyers_of(conn: Connection, accounts: Iterable[str]) -> dict[str, Buyer]:
    """Return the buyer of each account that exists; one without a customer bears its name."""
    rows = await conn.fetch(SQL["buyers"], sorted(set(accounts)))
    return {
        row["account_id"]: Buyer(name=row["account_id"], language=row["language"])
        if row["details"] is None
        else _buyer(_details(row["details"]), row["account_id"], row["language"])
        for row in rows
    }


def _buyer(details: Details, account: str, language: str) -> Buyer:
    address = None
    if details.country:
        address = Address(
            street=details.street,
            city=details.city,
            postcode=details.postal_code,
            country=details.country,
            region=details.region,
        )
    return Buyer(
        name=details.company or details.name or account,
        contact=details.name if details.company else "",
        address=address,
        email=details.email,
        language=language,
        tax_id=details.tax_id,
        jurisdiction=details.tax_jurisdiction,
        tax_category=details.tax_category,
        tax_status=details.tax_status,
        certificate=details.tax_certificate or "",
        certificate_expires=details.tax_certificate_expires,
        exemption_reason=details.tax_exemption_reason,
    )
