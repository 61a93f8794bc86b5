"""Somebody who may do everything, and an account of Anna's."""

import pytest

from ratewire.wiring import System
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
