"""How many payments a second are received, and how many webhooks a second are kept and acted on.

A real Postgres (embedded, as shipped) and the functions behind the API: `--clients` concurrent
clients, each payment in a transaction of its own on one of `--accounts` accounts. Then as many
events of Stripe, signed, verified, kept, and acted on, each delivered twice, at the same time.

    python -m bench.payments [--payments N] [--accounts N] [--clients N]

Prints one JSON object. At the end the ledger has to hold what was sent, to the micro.
"""

import argparse
import asyncio
import hashlib
import hmac
import json
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from bench.machine import machine
from billing.accounts import register as accounts
from billing.database import Pool, connect
from billing.gateways import inbox
from billing.gateways.stripe import Keys, Stripe
from billing.payments.payment import Method, PaymentStatus
from billing.payments.register import NewPayment, receive
from billing.sealing.keyring import Keyring
from migrations import runner
from ratewire.documents import DOCUMENTS
from ratewire.embedded.servers import EmbeddedServers
from ratewire.wiring import now

EURO = 1_000_000
SECRET = "whsec_bench"
POOL = 8


async def timed(number: int, clients: int, work: Callable[[int], Awaitable[None]]) -> float:
    """Do `work` for each number, by so many clients; return how many a second."""
    left = iter(range(number))

    async def client() -> None:
        for each in left:
            await work(each)

    began = time.perf_counter()
    async with asyncio.TaskGroup() as tasks:
        for _ in range(clients):
            tasks.create_task(client())
    return number / (time.perf_counter() - began)


async def measure(url: str, payments: int, of: int, clients: int) -> dict[str, object]:
    """Return the figures."""
    await runner.migrate(url)
    async with await connect(url, size=POOL) as pool:
        async with pool.acquire() as conn:
            for number in range(of):
                await accounts.create(conn, f"a{number}", "EUR", now=now())
        received = await timed(payments, clients, lambda n: _pay(pool, n, of))
        one = await timed(payments // 4, clients, lambda n: _pay(pool, n, 1, "one"))
        first = 1 + await pool.fetchval("SELECT max(payment_id) FROM payments")
        for number in range(payments):
            await _pay(pool, number, of, "event", PaymentStatus.PENDING)
        stripe = Stripe(Keys("sk_test_bench", SECRET))
        desk = inbox.Desk({stripe.name: stripe}, DOCUMENTS, Keyring([b"k" * 32]))
        told = await timed(payments, clients, lambda n: _tell(pool, desk, stripe, first + n))
        booked = await pool.fetchval(
            "SELECT sum(amount_micros) FROM ledger_postings WHERE account_id IS NOT NULL"
        )
        assert -booked == (2 * payments + payments // 4) * EURO, "not what was sent"
        return {
            "payments_per_second": round(received),
            "payments_per_second_on_one_account": round(one),
            "webhooks_per_second": round(2 * told),
            "payments": payments,
            "accounts": of,
            "clients": clients,
        }


async def _pay(
    pool: Pool,
    number: int,
    of: int,
    key: str = "pay",
    status: PaymentStatus = PaymentStatus.SUCCEEDED,
) -> None:
    new = NewPayment(
        f"a{number % of}", EURO, Method.CARD, status, gateway="stripe-test", key=f"{key}{number}"
    )
    async with pool.acquire() as conn:
        await receive(conn, new, actor="bench", now=now())


async def _tell(pool: Pool, desk: inbox.Desk, stripe: Stripe, payment_id: int) -> None:
    """Deliver the event that a payment came, twice at the same time."""
    of = {
        "id": f"pi_{payment_id}",
        "amount": 100,
        "currency": "eur",
        "metadata": {"ratewire": f"payment-{payment_id}"},
    }
    event = {"id": f"evt_{payment_id}", "type": "payment_intent.succeeded", "data": {"object": of}}
    body = json.dumps(event).encode()
    moment = int(time.time())
    mac = hmac.new(SECRET.encode(), b"%d.%s" % (moment, body), hashlib.sha256).hexdigest()

    async def deliver() -> None:
        event_id = stripe.verified(body, f"t={moment},v1={mac}")
        async with pool.acquire() as conn:
            await inbox.keep(conn, stripe.name, event_id, body, now())
        await inbox.act(pool, desk, stripe.name, event_id, now())

    await asyncio.gather(deliver(), deliver())


async def run(options: argparse.Namespace) -> dict[str, object]:
    """Start a Postgres, measure, and stop it."""
    with tempfile.TemporaryDirectory(dir="/tmp") as directory:
        Path(directory).chmod(0o711)
        async with EmbeddedServers.use(Path(directory), want_store=False) as servers:
            return await measure(
                servers.database_url, options.payments, options.accounts, options.clients
            )


def main() -> None:
    """Measure, and print JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--payments", type=int, default=4_000)
    parser.add_argument("--accounts", type=int, default=1_000)
    parser.add_argument("--clients", type=int, default=50)
    figures = asyncio.run(run(parser.parse_args()))
    print(json.dumps({"machine": machine(), **figures}, indent=2))


if __name__ == "__main__":
    main()
