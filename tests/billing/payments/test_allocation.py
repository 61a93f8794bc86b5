"""One payment on many documents, many on one, and off again: the balance does not notice."""

from datetime import datetime

import pytest

from billing.database import Connection
from billing.errors import Conflict, InvalidInput, NotFound
from billing.ledger.statement import balance
from billing.payments.allocation import allocate, allocate_oldest, release
from billing.payments.documents import of_document, of_payment
from billing.payments.payment import Method, PaymentStatus
from billing.payments.register import NewPayment, get, receive
from tests.billing.payments.conftest import Bills


async def pay(
    conn: Connection, now: datetime, micros: int, status: PaymentStatus = PaymentStatus.SUCCEEDED
) -> int:
    new = NewPayment("alice", micros, Method.CASH, status=status)
    return (await receive(conn, new, actor="staff", now=now)).payment.payment_id


async def receivable(conn: Connection) -> int:
    found = await conn.fetchval(
        "SELECT sum(amount_micros)::bigint FROM ledger_postings WHERE ledger = 21"
    )
    return found or 0


async def test_the_oldest_are_paid_first_and_the_rest_is_credit(
    conn: Connection, now: datetime, bills: Bills
) -> None:
    bills.open = {1: 4_000_000, 2: 5_000_000, 3: 9_000_000}
    first = await pay(conn, now, 6_000_000)
    done = await allocate_oldest(conn, first, "invoice", bills, actor="x", now=now)
    assert [(each.document_id, each.amount_micros) for each in done] == [
        (1, 4_000_000),
        (2, 2_000_000),
    ]
    second = await pay(conn, now, 20_000_000)
    await allocate_oldest(conn, second, "invoice", bills, actor="x", now=now)
    assert bills.open == {1: 0, 2: 0, 3: 0}
    assert (await get(conn, second)).unallocated_micros == 8_000_000
    assert await receivable(conn) == -18_000_000
    assert await balance(conn, "alice") == 26_000_000
    assert [each.payment_id for each in await of_document(conn, "invoice", 2)] == [first, second]


async def test_no_more_than_either_has(conn: Connection, now: datetime, bills: Bills) -> None:
    bills.open = {1: 4_000_000}
    paid = await pay(conn, now, 3_000_000)
    for document, micros, error, says in (
        (1, 3_000_001, Conflict, r"payment \d+ has 3\.00 EUR left"),
        (1, 0, InvalidInput, "allowed is more than 0"),
        (2, 1_000_000, NotFound, "invoice 2 does not exist"),
    ):
        with pytest.raises(error, match=says):
            await allocate(conn, paid, "invoice", document, micros, bills, actor="x", now=now)
    pending = await pay(conn, now, 1_000_000, PaymentStatus.PENDING)
    with pytest.raises(Conflict, match=r"has 0\.00 EUR left"):
        await allocate(conn, pending, "invoice", 1, 1, bills, actor="x", now=now)
    assert await conn.fetchval("SELECT count(*) FROM payment_allocations") == 0


async def test_off_again_it_is_credit(conn: Connection, now: datetime, bills: Bills) -> None:
    bills.open = {1: 4_000_000}
    paid = await pay(conn, now, 4_000_000)
    put = await allocate(conn, paid, "invoice", 1, 4_000_000, bills, actor="x", now=now)
    await release(conn, put.allocation_id, bills, micros=1_000_000, actor="x", now=now)
    assert bills.open == {1: 1_000_000}
    after = await release(conn, put.allocation_id, bills, actor="x", now=now)
    assert (after.released_micros, after.held_micros) == (4_000_000, 0)
    assert bills.open == {1: 4_000_000}
    assert (await receivable(conn), await balance(conn, "alice")) == (0, 4_000_000)
    assert (await get(conn, paid)).unallocated_micros == 4_000_000
    assert [each.held_micros for each in await of_payment(conn, paid)] == [0]
    with pytest.raises(Conflict, match=r"has 0\.00 on its document"):
        await release(conn, put.allocation_id, bills, actor="x", now=now)
    with pytest.raises(NotFound):
        await release(conn, 99, bills, actor="x", now=now)
