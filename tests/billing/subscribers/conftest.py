"""Plans that subscribers can be on, and a key for their passwords."""

from datetime import datetime

import pytest

from billing.catalogue.plans import load_plans
from billing.database import Connection
from billing.sealing.keyring import Keyring
from rating.plan import Plan
from rating.tariff import Tariff


@pytest.fixture
def keyring() -> Keyring:
    """A keyring with one key."""
    return Keyring([b"k" * 32])


@pytest.fixture(autouse=True)
async def plans(conn: Connection, now: datetime) -> None:
    """The plans metered (EUR) and dollars (USD)."""
    for name, currency in (("metered", "EUR"), ("dollars", "USD")):
        await load_plans(conn, [Plan(name, 1, Tariff(currency, ()))], now)
