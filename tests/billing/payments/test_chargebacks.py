"""Chargebacks: whose the money is, from opening to the end, and what is open again."""

from datetime import datetime

import pytest

from billing.accounts.money import adjust
from billing.database import Connection
from billing.errors import Conflict, InvalidInput
from billing.ledger.statement import balance
from billing.payments.allocation import allocate
from billing.payments.chargebacks import Chargeback, ChargebackStatus, close, list_, open_
from billing.payments.documents import of_payment
from billing.payments.payment import Method
from billing.payments.refunds import refund
from billing.payments.register import NewPayment, get, receive
from tests.billing.payments.conftest import Bills

WON, LOST = ChargebackStatus.WON, ChargebackStatus.LOST


@pytest.fixture
async def paid(conn: Connection, alice: None, now: datetime) -> int:
    """A payment of 10 EUR."""
    new = NewPayment("alice", 10_000_000, Method.CARD)
    return (await receive(conn, new, actor="staff", now=now)).payment.payment_id


async def opened(
    conn: Connection, paid: int, now: datetime, micros: int | None = None
) -> Chargeback:
    return await open_(conn, paid, micros, reference="cb1", actor="bank", now=now)


async def books(conn: Connection) -> dict[str, int]:
    """The ledgers that are not at zero."""
    rows = await conn.fetch(
        "SELECT name, sum(amount_micros)::bigint FROM ledger_postings JOIN ledgers USING (ledger)"
        " GROUP BY name HAVING sum(amount_micros) <> 0"
    )
    return {row[0]: row[1] for row in rows}


async def test_opened_the_bank_has_it_and_the_customer_too(
    conn: Connection, paid: int, now: datetime
) -> None:
    found = await opened(conn, paid, now)
    assert (found.status, found.amount_micros) == ("open", 10_000_000)
    assert await books(conn) == {"disputed": 10_000_000, "customer_credit": -10_000_000}
    assert await opened(conn, paid, now) == found
    with pytest.raises(Conflict, match="a part of it is disputed"):
        await refund(conn, paid, reason="r", actor="x", now=now)
    with pytest.raises(Conflict, match=r"cb1 is of 10\.00, not of 1\.00"):
        await opened(conn, paid, now, 1_000_000)


async def test_won_it_comes_back(conn: Connection, paid: int, now: datetime) -> None:
    found = await opened(conn, paid, now, 4_000_000)
    closed = await close(conn, found.chargeback_id, WON, {}, actor="bank", now=now)
    assert (closed.status, closed.closed_at) == ("won", now)
    assert await books(conn) == {"cash": 10_000_000, "customer_credit": -10_000_000}
    assert (await get(conn, paid)).refundable_micros == 10_000_000
    assert await close(conn, found.chargeback_id, WON, {}, actor="bank", now=now) == closed
    with pytest.raises(Conflict, match="is won already"):
        await close(conn, found.chargeback_id, LOST, {}, actor="bank", now=now)


async def test_lost_it_is_the_customers_debt(conn: Connection, paid: int, now: datetime) -> None:
    await adjust(conn, "alice", -9_000_000, reason="used", actor="x", now=now)
    found = await opened(conn, paid, now)
    fee = 15_000_000
    await close(conn, found.chargeback_id, LOST, {}, fee_micros=fee, actor="bank", now=now)
    assert await balance(conn, "alice") == -9_000_000
    assert (await books(conn))["payment_fees"] == fee
    assert (await books(conn))["cash"] == -fee
    payment = await get(conn, paid)
    assert (payment.lost_micros, payment.disputed_micros) == (10_000_000, 0)
    assert (payment.refundable_micros, payment.unallocated_micros) == (0, 0)


async def test_lost_what_it_paid_is_open_again(
    conn: Connection, paid: int, now: datetime, bills: Bills
) -> None:
    bills.open = {1: 4_000_000, 2: 5_000_000}
    for number, micros in ((1, 4_000_000), (2, 5_000_000)):
        await allocate(conn, paid, "invoice", number, micros, bills, actor="x", now=now)
    assert bills.open == {1: 0, 2: 0}
    found = await opened(conn, paid, now, 7_000_000)
    await close(conn, found.chargeback_id, LOST, {"invoice": bills}, actor="bank", now=now)
    # 1 EUR of it was on no document, so 6 come off the documents, the last one first.
    assert bills.open == {1: 1_000_000, 2: 5_000_000}
    assert [each.held_micros for each in await of_payment(conn, paid)] == [3_000_000, 0]
    assert await balance(conn, "alice") == 3_000_000
    payment = await get(conn, paid)
    assert (payment.allocated_micros, payment.lost_micros) == (3_000_000, 7_000_000)


async def test_what_is_wrong_is_told(conn: Connection, paid: int, now: datetime) -> None:
    with pytest.raises(InvalidInput, match="needs the bank's reference"):
        await open_(conn, paid, reference="", actor="x", now=now)
    with pytest.raises(Conflict, match="neither refunded nor disputed"):
        await opened(conn, paid, now, 11_000_000)
    found = await opened(conn, paid, now)
    with pytest.raises(InvalidInput, match="ends as won or lost"):
        await close(conn, found.chargeback_id, ChargebackStatus.OPEN, {}, actor="x", now=now)
    assert [each.chargeback_id for each in await list_(conn, status=ChargebackStatus.OPEN)] == [
        found.chargeback_id
    ]
