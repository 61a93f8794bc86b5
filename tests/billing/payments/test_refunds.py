"""Refunds: never more than came, than is available, or twice."""

import asyncio
from datetime import datetime

import pytest

from billing.accounts.money import adjust
from billing.database import Connection, Pool
from billing.errors import Conflict, InvalidInput
from billing.ledger.statement import balance
from billing.payments.payment import Method
from billing.payments.refunds import of_payment, refund
from billing.payments.register import NewPayment, get, receive


@pytest.fixture
async def paid(conn: Connection, alice: None, now: datetime) -> int:
    """A payment of 10 EUR."""
    new = NewPayment("alice", 10_000_000, Method.CASH)
    return (await receive(conn, new, actor="staff", now=now)).payment.payment_id


async def test_in_parts_until_nothing_is_left(conn: Connection, paid: int, now: datetime) -> None:
    for micros in (3_000_000, None):
        await refund(conn, paid, micros, reason="moved out", actor="staff", now=now)
    payment = await get(conn, paid)
    assert (payment.refunded_micros, payment.refundable_micros) == (10_000_000, 0)
    assert [each.amount_micros for each in await of_payment(conn, paid)] == [3_000_000, 7_000_000]
    assert await balance(conn, "alice") == 0
    assert await conn.fetchval("SELECT sum(amount_micros) FROM ledger_postings") == 0
    with pytest.raises(Conflict, match=r"has 0\.00 EUR to give back"):
        await refund(conn, paid, reason="again", actor="staff", now=now)


async def test_what_was_used_up_does_not_go_back(
    conn: Connection, paid: int, now: datetime
) -> None:
    await adjust(conn, "alice", -4_000_000, reason="used", actor="x", now=now)
    with pytest.raises(Conflict, match=r"10\.00 is more than the 6\.00 EUR available"):
        await refund(conn, paid, reason="all", actor="staff", now=now)
    await refund(conn, paid, 6_000_000, reason="the rest", actor="staff", now=now)
    assert await balance(conn, "alice") == 0


async def test_once_for_each_key(conn: Connection, paid: int, now: datetime) -> None:
    first = await refund(conn, paid, 1_000_000, reason="r", key="k", actor="a", now=now)
    again = await refund(conn, paid, 1_000_000, reason="r", key="k", actor="a", now=now)
    assert (again.refund, again.repeated) == (first.refund, True)
    with pytest.raises(Conflict, match=r"'k' was used for a refund of 1\.00, not of 2\.00"):
        await refund(conn, paid, 2_000_000, reason="r", key="k", actor="a", now=now)
    assert await balance(conn, "alice") == 9_000_000


async def test_fifty_at_once_give_back_what_there_is(
    pool: Pool, conn: Connection, paid: int, now: datetime
) -> None:
    async def back() -> bool:
        async with pool.acquire() as own:
            try:
                await refund(own, paid, 3_000_000, reason="r", actor="x", now=now)
            except Conflict:
                return False
            return True

    assert sum(await asyncio.gather(*(back() for _ in range(50)))) == 3
    assert await balance(conn, "alice") == 1_000_000


@pytest.mark.parametrize(
    ("micros", "reason"), [(5_000, "half a cent"), (-1, "r"), (1_000_000, " ")]
)
async def test_what_is_wrong_is_told(
    conn: Connection, paid: int, now: datetime, micros: int, reason: str
) -> None:
    with pytest.raises(InvalidInput):
        await refund(conn, paid, micros, reason=reason, actor="x", now=now)
