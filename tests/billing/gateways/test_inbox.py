"""What a gateway tells, delivered again and again and in any order: done once, and nothing lost."""

import asyncio
import json
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from billing.accounts import register as accounts
from billing.database import Connection, Pool, connect
from billing.gateways import inbox
from billing.gateways.inbox import Desk
from billing.ledger.statement import balance
from billing.payments import chargebacks, refunds, register
from billing.payments.payment import Method, PaymentStatus
from billing.payments.register import NewPayment, receive
from tests.support.servers import DatabaseServer, fresh_database, run

GATEWAY = "stripe-test"


def event(kind: str, **of: Any) -> bytes:
    """An event of Stripe's, with an id of its own."""
    of = {"currency": "eur", **of}
    return json.dumps(
        {"id": f"evt_{kind}_{of['id']}", "type": kind, "data": {"object": of}}
    ).encode()


def life(number: int) -> list[bytes]:
    """All that Stripe tells of a payment of 10.00: paid, 3.00 refunded, 7.00 disputed and lost."""
    intent = {"id": f"pi_{number}", "metadata": {"ratewire": f"payment-{number}"}}
    dispute = {
        "id": f"dp_{number}",
        "payment_intent": intent["id"],
        "amount": 700,
        "reason": "fraudulent",
    }
    refund = {
        "id": f"re_{number}",
        "payment_intent": intent["id"],
        "amount": 300,
        "status": "succeeded",
    }
    return [
        event("payment_intent.succeeded", amount=1000, **intent),
        event("payment_intent.payment_failed", amount=1000, **intent),
        event("refund.created", **refund),
        event("charge.dispute.created", status="needs_response", **dispute),
        event("charge.dispute.closed", status="lost", **dispute),
    ]


async def pending(conn: Connection, now: datetime, account: str = "alice") -> int:
    new = NewPayment(
        account, 10_000_000, Method.CARD, PaymentStatus.PENDING, gateway=GATEWAY, key="k"
    )
    return (await receive(conn, new, actor="test", now=now)).payment.payment_id


async def deliver(pool: Pool, desk: Desk, body: bytes, now: datetime) -> None:
    """As the HTTP side does."""
    event_id = json.loads(body)["id"]
    async with pool.acquire() as conn:
        await inbox.keep(conn, GATEWAY, event_id, body, now)
    await inbox.act(pool, desk, GATEWAY, event_id, now)


async def prove(conn: Connection, payment_id: int, account: str = "alice") -> None:
    """All of it happened once, and no event waits."""
    payment = await register.get(conn, payment_id)
    sums = (payment.refunded_micros, payment.disputed_micros, payment.lost_micros)
    assert (payment.status, sums) == (PaymentStatus.SUCCEEDED, (3_000_000, 0, 7_000_000))
    assert await balance(conn, account) == 0
    assert len(await refunds.of_payment(conn, payment_id)) == 1
    assert len(await chargebacks.of_payment(conn, payment_id)) == 1
    assert await inbox.list_(conn, waiting=True) == []


async def test_five_deliveries_of_each_event_at_once_and_out_of_order(
    pool: Pool, conn: Connection, deaf: Desk, now: datetime
) -> None:
    number = await pending(conn, now)
    bodies = [body for body in reversed(life(number)) for _ in range(5)]
    await asyncio.gather(*(deliver(pool, deaf, body, now) for body in bodies))
    for wait in range(4):
        await inbox.act_on_waiting(pool, deaf, now + timedelta(hours=wait))
    await prove(conn, number)
    for each in await inbox.list_(conn):
        await inbox.replay(conn, GATEWAY, each.event_id, now)
    await inbox.act_on_waiting(pool, deaf, now)
    await prove(conn, number)


@pytest.fixture(scope="module")
def other_url(database_server: DatabaseServer, database_template: str) -> Any:
    with fresh_database(database_server, database_template) as url:
        yield url


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(order=st.permutations(range(5)), again=st.lists(st.integers(0, 4), max_size=5))
def test_whatever_the_order_it_comes_to_the_same(
    other_url: str, deaf: Desk, now: datetime, order: list[int], again: list[int]
) -> None:
    async def check() -> None:
        async with await connect(other_url, size=2) as pool, pool.acquire() as conn:
            account = f"a{await conn.fetchval('SELECT count(*) FROM payments')}"
            await accounts.create(conn, account, "EUR", now=now)
            number = await pending(conn, now, account)
            bodies = life(number)
            for step, index in enumerate([*order, *again]):
                await deliver(pool, deaf, bodies[index], now + timedelta(seconds=step))
            for wait in range(1, 4):
                await inbox.act_on_waiting(pool, deaf, now + timedelta(hours=wait))
            await prove(conn, number, account)

    run(check())


async def test_money_that_comes_for_a_payment_given_up_is_not_lost(
    pool: Pool, conn: Connection, deaf: Desk, now: datetime
) -> None:
    number = await pending(conn, now)
    await register.conclude(conn, number, PaymentStatus.CANCELLED, actor="test", now=now)
    await deliver(pool, deaf, life(number)[0], now)
    assert (await register.get(conn, number)).status is PaymentStatus.SUCCEEDED
    assert await balance(conn, "alice") == 10_000_000


def paid(key: str, amount: int = 1000, currency: str = "eur") -> bytes:
    of = {"id": "pi_1", "amount": amount, "currency": currency, "metadata": {"ratewire": key}}
    return event("payment_intent.succeeded", **of)


def refunded(**of: Any) -> bytes:
    return event("refund.created", id="re_1", status="succeeded", **of)


WRONG = [
    (paid("payment-999"), "payment 999 does not exist"),
    (paid("x"), "is called x"),
    (paid("payment-1", 999), "for a payment of"),
    (paid("payment-1", currency="usd"), "USD for a payment in EUR"),
    (refunded(payment_intent="pi_9", amount=1), "payment pi_9 is not known yet"),
    (refunded(), "payment_intent"),
    (b'{"id": "evt_x", "type": 5}', "Expected `str`"),
]


async def test_what_cannot_be_acted_on_waits_where_staff_see_it(
    pool: Pool, conn: Connection, deaf: Desk, now: datetime
) -> None:
    await pending(conn, now)
    for body, why in WRONG:
        await conn.execute("DELETE FROM gateway_events")
        await deliver(pool, deaf, body, now)
        [waiting] = await inbox.list_(conn, waiting=True)
        assert why in waiting.outcome
        assert waiting.attempts == 1
    assert await balance(conn, "alice") == 0
