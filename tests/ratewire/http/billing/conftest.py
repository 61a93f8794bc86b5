"""Somebody who may do everything, and an account of Anna's."""

import pytest

from billing.offers.offer import Offer, RecurringCharge
from billing.offers.register import load_offers
from ratewire.wiring import System, now
from tests.ratewire.http.conftest import Client
from tests.ratewire.http.staff import Staff


@pytest.fixture
async def admin(client: Client, system: System) -> Staff:
    """An administrator; customer anna and her account a1 exist."""
    staff = await Staff.hired(client, system)
    details = {"name": "Anna Weiß", "country": "DE"}
    await staff.ok("POST", "billing/customers/", {"id": "anna", "details": details})
    new = {"id": "a1", "currency": "EUR", "customer": "anna"}
    await staff.ok("POST", "billing/accounts/", new)
    return staff


@pytest.fixture
async def issuer(admin: Staff) -> Staff:
    """The administrator once invoices can be issued: German VAT, and an address of Anna's."""
    entity = {
        "entity": "main",
        "name": "Example Net GmbH",
        "address": {"street": "Ring 1", "city": "Berlin", "postcode": "10115", "country": "DE"},
        "jurisdiction": "DE",
        "tax_id": "DE123456789",
        "iban": "DE89370400440532013000",
        "language": "de",
    }
    await admin.ok("PUT", "billing/entities/main", entity)
    rate = {"jurisdiction": "DE", "category": "standard", "tax": "VAT", "percent": "19"}
    rates = {"rates": [{**rate, "valid_from": "2021-01-01"}]}
    await admin.ok("POST", "billing/tax-rates/", rates)
    details = {
        "name": "Anna Weiß",
        "street": "Weg 2",
        "postal_code": "10117",
        "city": "Berlin",
        "country": "DE",
        "email": "anna@example.com",
    }
    await admin.ok("PUT", "billing/customers/anna/details", details)
    return admin


@pytest.fixture
async def seller(issuer: Staff, system: System) -> Staff:
    """The administrator where account b1 is postpaid, and offers `small` and `large` are sold."""
    offers = [
        Offer(
            name=name,
            version=1,
            currency="EUR",
            recurring=(RecurringCharge(code="access", description="Access", amount_micros=micros),),
        )
        for name, micros in (("small", 10_000_000), ("large", 30_000_000))
    ]
    async with (await system.pool()).acquire() as conn:
        await load_offers(conn, offers, now())
    new = {"id": "b1", "currency": "EUR", "payment_mode": "postpaid", "customer": "anna"}
    await issuer.ok("POST", "billing/accounts/", new)
    return issuer
