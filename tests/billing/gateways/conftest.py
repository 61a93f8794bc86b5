"""A Stripe that runs, our port to it, and an account that pays by it."""

from collections.abc import Iterator
from datetime import datetime

import pytest

from billing.accounts import register as accounts
from billing.database import Pool
from billing.gateways.inbox import Desk
from billing.gateways.stripe import Keys, Stripe
from billing.invoices.settling import InvoiceDocuments
from billing.sealing.keyring import Keyring
from tests.support.localstripe import API_KEY, SIGNING_SECRET, LocalStripe
from tests.support.servers import run


@pytest.fixture(scope="module")
def server() -> Iterator[LocalStripe]:
    """A Stripe, for all tests of a file."""
    running = LocalStripe()
    run(running.start())
    yield running
    running.stop()


@pytest.fixture
def gateway(server: LocalStripe) -> Stripe:
    """Our port to it."""
    return Stripe(Keys(API_KEY, SIGNING_SECRET), server.url)


@pytest.fixture
def keyring() -> Keyring:
    """A keyring with one key."""
    return Keyring([b"k" * 32])


@pytest.fixture
def deaf(keyring: Keyring) -> Desk:
    """What events are acted on with, where Stripe need not be asked for anything."""
    gateway = Stripe(Keys(API_KEY, SIGNING_SECRET), "http://127.0.0.1:1")
    return Desk({gateway.name: gateway}, {"invoice": InvoiceDocuments()}, keyring)


@pytest.fixture(autouse=True)
async def alice(pool: Pool, now: datetime) -> None:
    """An account without money."""
    async with pool.acquire() as conn:
        await accounts.create(conn, "alice", "EUR", now=now)
