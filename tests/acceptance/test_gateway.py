"""Credit by a gateway, on real parts: a Stripe (localstripe) that tells a running system.

`metered` costs 2 micros for each step of 1,000 octets begun; 25,000,000 octets cost EUR 0.05.
"""

import asyncio
from collections.abc import Iterator

import pytest

from billing.database import Connection
from billing.gateways import topups
from billing.ledger.statement import balance
from billing.payments import methods
from billing.payments.gateway import key_of
from billing.payments.payment import Method, PaymentStatus
from billing.payments.register import NewPayment, list_, receive
from ratewire.wiring import System, now
from tests.acceptance.books import Books
from tests.acceptance.conftest import Nas, World
from tests.acceptance.installation import eventually
from tests.support.localstripe import LocalStripe

EURO = 1_000_000
CUT_S = 10.0
GATEWAY = "stripe-test"


@pytest.fixture
def stripe(world: World) -> Iterator[LocalStripe]:
    """A Stripe where the system looks for it, which tells it what happens."""
    running = LocalStripe(world.installation.ports.stripe)

    async def begin() -> None:
        await running.start()
        await running.tell(world.installation.url(f"/gateways/{GATEWAY}/events"))

    try:
        asyncio.run(begin())
        yield running
    finally:
        running.stop()


def test_cut_at_zero_and_accepted_again_once_a_checkout_was_paid(
    world: World, books: Books, nas: Nas, user: str, stripe: LocalStripe
) -> None:
    account = books.open_account(50_000, user)
    login = world.login(user)
    with world.coa_port(nas.address) as coa_port:
        nas.send(login.start())
        nas.send(login.interim(300, 5_000_000, 20_000_000))
        request = coa_port.receive(CUT_S)
        assert request is not None
        coa_port.acknowledge(request)
        nas.send(login.stop(301, 5_000_000, 20_000_000, Acct_Terminate_Cause=6))
        assert books.balance(account).balance == 0

        async def begin(system: System, conn: Connection) -> None:
            new = NewPayment(
                account, EURO, Method.CARD, PaymentStatus.PENDING, gateway=GATEWAY, key="link"
            )
            key = key_of((await receive(conn, new, actor="test", now=now())).payment.payment_id)
            # What the page of Stripe's does when the customer pays there.
            customer, _, method = (await stripe.customer()).decode().partition("|")
            await stripe.post(
                "/v1/payment_intents",
                **{
                    "amount": "100",
                    "currency": "eur",
                    "customer": customer,
                    "payment_method": method,
                    "confirm": "true",
                    "metadata[ratewire]": key,
                },
            )

        books.at_desk(begin)
        eventually(lambda: books.balance(account).balance == EURO)

        again = world.login(user, "8100A3F2-00001C43")
        nas.send(again.start())
        nas.send(again.interim(300, 5_000_000, 20_000_000))
        assert coa_port.receive(0.5) is None
        assert books.balance(account).balance == EURO - 50_000


def test_an_automatic_topup_keeps_a_session_alive(
    world: World, books: Books, nas: Nas, user: str, stripe: LocalStripe
) -> None:
    """It used three times of what it began with, and was never cut."""
    account = books.open_account(100_000, user)
    login = world.login(user)

    async def set_up(system: System, conn: Connection) -> None:
        kept = await methods.add(
            conn,
            system.keyring,
            account,
            Method.CARD,
            gateway=GATEWAY,
            token=await stripe.customer(),
            label="Visa ending 4242",
            now=now(),
        )
        await topups.set_(conn, account, kept.method_id, EURO, below_micros=60_000, now=now())

    books.at_desk(set_up)
    with world.coa_port(nas.address) as coa_port:
        nas.send(login.start())
        nas.send(login.interim(300, 5_000_000, 20_000_000))  # EUR 0.05 is left
        eventually(lambda: books.balance(account).balance == EURO + 50_000)
        nas.send(login.interim(600, 10_000_000, 140_000_000))  # EUR 0.30 in all
        assert coa_port.receive(1.0) is None
        assert books.balance(account).balance == EURO - 200_000

    async def settled(_system: System, conn: Connection) -> bool:
        [payment] = await list_(conn, account=account)
        assert (payment.status, payment.gateway) == (PaymentStatus.SUCCEEDED, GATEWAY)
        return await balance(conn, account) == EURO + 100_000 - 300_000

    eventually(lambda: books.at_desk(settled))
