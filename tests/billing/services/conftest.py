"""An account with a subscriber, and offers to choose from."""

import pytest

from billing.accounts import register as accounts
from billing.accounts.account import PaymentMode
from billing.catalogue.planfile import parse_plans
from billing.catalogue.plans import load_plans
from billing.database import Connection
from billing.offers import register as offers
from billing.offers.offer import Offer, OneOffCharge, RecurringCharge
from billing.sealing.keyring import Keyring
from billing.subscribers import register as subscribers
from tests.billing.conftest import NOW

PLANS = """
[[plan]]
name = "basic"
currency = "EUR"
[[plan]]
name = "fast"
currency = "EUR"
[[plan]]
name = "slow"
currency = "EUR"
"""


def made(name: str, micros: int, plan: str | None, **fields: object) -> Offer:
    """An offer with a monthly fee."""
    return Offer(
        name=name,
        version=1,
        currency="EUR",
        plan=plan,
        recurring=(
            RecurringCharge(code="access", description=f"Access {name}", amount_micros=micros),
        ),
        **fields,  # pyright: ignore[reportArgumentType] -- any of its fields
    )


SETUP = OneOffCharge(code="setup", description="Set-up", amount_micros=50_000_000)
OFFERS = (
    made("small", 10_000_000, "basic", one_off=(SETUP,)),
    made("large", 31_000_000, "fast"),
    made("tv", 5_000_000, None),
)


@pytest.fixture
async def world(conn: Connection) -> Connection:
    """The account "alice" with the subscriber "al", plans and offers."""
    await load_plans(conn, parse_plans(PLANS, "plans.toml"), NOW)
    await offers.load_offers(conn, OFFERS, NOW)
    await accounts.create(conn, "alice", "EUR", PaymentMode.POSTPAID, now=NOW)
    keyring = Keyring([b"k" * 32])
    await subscribers.add(conn, keyring, "al", account="alice", plan="slow", now=NOW)
    await conn.execute("DELETE FROM store_outbox")
    return conn
