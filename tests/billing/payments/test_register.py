"""Payments are received once, reach balance and store only when they succeeded, and are listed."""

import asyncio
from datetime import datetime, timedelta

import msgspec
import pytest

from billing.accounts import register as accounts
from billing.accounts.account import AccountStatus
from billing.database import Connection, Pool
from billing.errors import Conflict, InvalidInput, NotFound
from billing.ledger.statement import balance
from billing.payments.payment import Method, Payment, PaymentStatus
from billing.payments.register import NewPayment, Received, conclude, get, list_, receive

TEN = NewPayment("alice", 10_000_000, Method.BANK_TRANSFER, reference="RF-7")


async def received(
    conn: Connection, now: datetime, new: NewPayment = TEN, **changes: object
) -> Payment:
    new = msgspec.structs.replace(new, **changes)
    return (await receive(conn, new, actor="staff", now=now)).payment


async def moved(conn: Connection) -> list[int]:
    """What is on the road to the store, in order."""
    rows = await conn.fetch(
        "SELECT (movement ->> 'amount')::bigint FROM store_outbox"
        " WHERE movement ->> 'kind' = 'post' ORDER BY sequence"
    )
    return [row[0] for row in rows]


async def test_a_payment_is_on_the_balance_and_on_the_road(conn: Connection, now: datetime) -> None:
    payment = await received(conn, now)
    assert (payment.status, payment.settled_at) == (PaymentStatus.SUCCEEDED, now)
    assert (payment.unallocated_micros, payment.refundable_micros) == (10_000_000, 10_000_000)
    assert await balance(conn, "alice") == 10_000_000
    assert await moved(conn) == [10_000_000]
    rows = await conn.fetch(
        "SELECT name, amount_micros FROM ledger_postings JOIN ledgers USING (ledger) ORDER BY name"
    )
    assert [tuple(row) for row in rows] == [("cash", 10_000_000), ("customer_credit", -10_000_000)]


async def test_a_voucher_is_not_cash(conn: Connection, now: datetime) -> None:
    await received(conn, now, method=Method.VOUCHER)
    assert (
        await conn.fetchval("SELECT sum(amount_micros) FROM ledger_postings WHERE ledger = 11")
        == 10_000_000
    )


@pytest.mark.parametrize("status", [PaymentStatus.PENDING, PaymentStatus.UNKNOWN])
async def test_what_may_still_come_is_nowhere(
    conn: Connection, now: datetime, status: PaymentStatus
) -> None:
    payment = await received(conn, now, status=status)
    assert (payment.unallocated_micros, payment.refundable_micros) == (0, 0)
    assert await balance(conn, "alice") == 0
    later = now + timedelta(days=1)
    done = await conclude(conn, payment.payment_id, PaymentStatus.SUCCEEDED, actor="x", now=later)
    assert (done.settled_at, await balance(conn, "alice")) == (later, 10_000_000)
    again = await conclude(conn, payment.payment_id, PaymentStatus.SUCCEEDED, actor="x", now=later)
    assert again == done
    assert await moved(conn) == [10_000_000]
    with pytest.raises(Conflict, match="succeeded cannot become failed"):
        await conclude(conn, payment.payment_id, PaymentStatus.FAILED, actor="x", now=later)


async def test_a_reference_of_another_payment_is_refused_and_nothing_is_booked(
    conn: Connection, now: datetime
) -> None:
    await received(conn, now, gateway="card", gateway_reference="ch_1")
    pending = await received(conn, now, status=PaymentStatus.PENDING, gateway="card")
    with pytest.raises(Conflict, match="card payment ch_1 is that of another payment"):
        await conclude(
            conn,
            pending.payment_id,
            PaymentStatus.SUCCEEDED,
            gateway_reference="ch_1",
            actor="x",
            now=now,
        )
    assert (await get(conn, pending.payment_id)).status is PaymentStatus.PENDING
    assert await balance(conn, "alice") == 10_000_000


async def test_a_failure_says_why(conn: Connection, now: datetime) -> None:
    payment = await received(conn, now, status=PaymentStatus.PENDING)
    failed = await conclude(
        conn, payment.payment_id, PaymentStatus.FAILED, failure="no funds", actor="x", now=now
    )
    assert (failed.status, failed.failure, failed.settled_at) == ("failed", "no funds", None)
    assert await balance(conn, "alice") == 0


async def test_the_same_key_or_reference_pays_once(conn: Connection, now: datetime) -> None:
    first = await receive(conn, msgspec.structs.replace(TEN, key="k"), actor="a", now=now)
    again = await receive(conn, msgspec.structs.replace(TEN, key="k"), actor="b", now=now)
    assert again == Received(first.payment, repeated=True)
    by_gateway = msgspec.structs.replace(TEN, gateway="stripe", gateway_reference="pi_1")
    one = await receive(conn, by_gateway, actor="a", now=now)
    two = await receive(conn, by_gateway, actor="a", now=now)
    assert two == Received(one.payment, repeated=True)
    assert await balance(conn, "alice") == 20_000_000


async def test_the_same_key_for_another_payment_is_refused(conn: Connection, now: datetime) -> None:
    await received(conn, now, key="k")
    with pytest.raises(
        Conflict, match=r"'k' was used for payment \d+ of 10\.00 EUR by bank_transfer"
    ):
        await received(conn, now, key="k", amount_micros=20_000_000)
    await accounts.create(conn, "bob", "EUR", now=now)
    await received(conn, now, gateway="stripe", gateway_reference="pi_1")
    with pytest.raises(Conflict, match="the reference 'pi_1' was used"):
        await received(conn, now, account="bob", gateway="stripe", gateway_reference="pi_1")


async def test_fifty_at_once_pay_once(pool: Pool, now: datetime) -> None:
    async def pay(number: int) -> bool:
        async with pool.acquire() as conn:
            new = msgspec.structs.replace(TEN, key=f"k{number % 5}")
            return (await receive(conn, new, actor="x", now=now)).repeated

    repeated = await asyncio.gather(*(pay(number) for number in range(50)))
    assert sum(repeated) == 45
    async with pool.acquire() as conn:
        assert await balance(conn, "alice") == 50_000_000
        assert await moved(conn) == [10_000_000] * 5


async def test_what_is_wrong_is_told(conn: Connection, now: datetime) -> None:
    with pytest.raises(NotFound, match="account nobody does not exist"):
        await received(conn, now, account="nobody")
    with pytest.raises(InvalidInput, match="at most 2 decimals"):
        await received(conn, now, amount_micros=1)
    with pytest.raises(Conflict, match="account alice is in EUR, not in USD"):
        await received(conn, now, currency="USD")
    with pytest.raises(InvalidInput, match="cannot begin as cancelled"):
        await received(conn, now, status=PaymentStatus.CANCELLED)
    with pytest.raises(NotFound, match="payment 99 does not exist"):
        await get(conn, 99)
    await accounts.set_status(conn, "alice", AccountStatus.CLOSED, now=now)
    with pytest.raises(Conflict, match="account alice is closed"):
        await received(conn, now)


async def test_payments_are_found(conn: Connection, now: datetime) -> None:
    await accounts.create(conn, "bob", "EUR", now=now)
    made = [
        await received(conn, now, account=account, method=method, reference=reference)
        for account, method, reference in (
            ("alice", Method.CASH, "a"),
            ("bob", Method.CASH, "b"),
            ("alice", Method.CHEQUE, "c"),
        )
    ]
    ids = [payment.payment_id for payment in made]

    async def found(**what: object) -> list[int]:
        rows = await list_(conn, **what)  # pyright: ignore[reportArgumentType]
        return [row.payment_id for row in rows]

    assert await found() == ids[::-1]
    assert await found(limit=2) == [ids[2], ids[1]]
    assert await found(before=ids[1]) == [ids[0]]
    assert await found(account="alice") == [ids[2], ids[0]]
    assert await found(method=Method.CASH) == [ids[1], ids[0]]
    assert await found(reference="c") == [ids[2]]
    assert await found(status=PaymentStatus.FAILED) == []
    assert await found(since=now + timedelta(seconds=1)) == []
