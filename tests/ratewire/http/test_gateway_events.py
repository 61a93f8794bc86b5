"""Events of a gateway over HTTP: signed or refused, kept once, acted on once."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from billing.payments.payment import Method, PaymentStatus
from billing.payments.register import NewPayment, get, receive
from config.settings import Settings, StripeSettings
from ratewire.wiring import System, now
from tests.billing.gateways.test_stripe import signed
from tests.ratewire.http.conftest import Client, client_of
from tests.ratewire.office import Office
from tests.support.localstripe import API_KEY, SIGNING_SECRET

PATH = "/gateways/stripe-test/events"


@pytest.fixture
def settings(settings: Settings, tmp_path: Path) -> Settings:
    """With keys for Stripe."""
    for name, key in (("api", API_KEY), ("signing", SIGNING_SECRET)):
        (tmp_path / name).write_text(key)
    stripe = StripeSettings(
        api_key_file=str(tmp_path / "api"), signing_secret_file=str(tmp_path / "signing")
    )
    return msgspec.structs.replace(settings, stripe=stripe)


@pytest.fixture
async def client(system: System, office: Office) -> AsyncIterator[Client]:
    async with client_of(system) as opened:
        yield opened


async def test_five_deliveries_at_once_are_one_payment(
    client: Client, system: System, office: Office
) -> None:
    await office.subscribe(0)
    new = NewPayment(
        "acme", 10_000_000, Method.CARD, PaymentStatus.PENDING, gateway="stripe-test", key="k"
    )
    async with (await system.pool()).acquire() as conn:
        number = (await receive(conn, new, actor="test", now=now())).payment.payment_id
    of = {"id": "pi_1", "amount": 1000, "currency": "eur"}
    data = {"object": {**of, "metadata": {"ratewire": f"payment-{number}"}}}
    event = {"id": "evt_1", "type": "payment_intent.succeeded", "data": data}
    body = json.dumps(event).encode()

    async def deliver(signature: str, path: str = PATH) -> int:
        headers = {"Stripe-Signature": signature}
        async with client.post(path, data=body, headers=headers) as response:
            return response.status

    assert await deliver(signed(body, "whsec_other")) == 400
    assert await deliver(signed(body), "/gateways/stripe/events") == 404
    pool = await system.pool()
    assert await pool.fetchval("SELECT count(*) FROM gateway_events") == 0
    assert await asyncio.gather(*(deliver(signed(body)) for _ in range(5))) == [200] * 5
    async with pool.acquire() as conn:
        payment = await get(conn, number)
    assert (payment.status, payment.gateway_reference) == (PaymentStatus.SUCCEEDED, "pi_1")
    movements = "SELECT sum(amount_micros) FROM ledger_postings WHERE account_id = 'acme'"
    assert await pool.fetchval(movements) == -10_000_000
