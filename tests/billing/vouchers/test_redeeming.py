"""A voucher is redeemed once, however many try at once."""

import asyncio
from datetime import datetime, timedelta

import pytest

from billing.accounts import register as accounts
from billing.database import Connection, Pool
from billing.errors import Conflict, InvalidInput, NotFound
from billing.ledger.statement import balance
from billing.vouchers import batches, code
from billing.vouchers.redeeming import redeem


@pytest.fixture(autouse=True)
async def people(conn: Connection, now: datetime) -> None:
    """Two accounts."""
    for name in ("alice", "bob"):
        await accounts.create(conn, name, "EUR", now=now)


@pytest.fixture
async def batch(conn: Connection, now: datetime) -> batches.NewBatch:
    """Two vouchers of 10 EUR for a day."""
    return await batches.create(
        conn,
        currency="EUR",
        amount_micros=10_000_000,
        vouchers=2,
        expires_at=now + timedelta(days=1),
        actor="staff",
        now=now,
    )


async def test_it_becomes_a_payment(
    conn: Connection, batch: batches.NewBatch, now: datetime
) -> None:
    typed = batch.codes[1].lower().replace("-", " ")
    done = await redeem(conn, "alice", typed, actor="alice", now=now)
    assert (done.payment.method, done.payment.amount_micros) == ("voucher", 10_000_000)
    assert done.payment.gateway_reference == f"{batch.batch.batch_id}-2"
    again = await redeem(conn, "alice", typed, actor="alice", now=now)
    assert (again.payment, again.repeated) == (done.payment, True)
    assert await balance(conn, "alice") == 10_000_000
    assert (await batches.get(conn, batch.batch.batch_id)).redeemed == 1
    with pytest.raises(Conflict, match="was redeemed before"):
        await redeem(conn, "bob", typed, actor="bob", now=now)


async def test_forty_at_once(
    pool: Pool, conn: Connection, batch: batches.NewBatch, now: datetime
) -> None:
    async def attempt(account: str) -> bool:
        async with pool.acquire() as own:
            try:
                done = await redeem(own, account, batch.codes[0], actor="x", now=now)
            except Conflict:
                return False
            return not done.repeated

    tries = [attempt(("alice", "bob")[number % 2]) for number in range(40)]
    assert sum(await asyncio.gather(*tries)) == 1
    assert await balance(conn, "alice") + await balance(conn, "bob") == 10_000_000


async def test_what_is_wrong_is_told(
    conn: Connection, batch: batches.NewBatch, now: datetime
) -> None:
    await accounts.create(conn, "yen", "JPY", now=now)
    first = batch.codes[0]
    for account, text, error, says in (
        ("alice", "2345", InvalidInput, "16 symbols"),
        ("alice", code.generate(), NotFound, "no voucher has that code"),
        ("nobody", first, NotFound, "account nobody"),
        ("yen", first, Conflict, "in EUR, account yen in JPY"),
    ):
        with pytest.raises(error, match=says):
            await redeem(conn, account, text, actor="x", now=now)
    with pytest.raises(Conflict, match="the voucher expired"):
        await redeem(conn, "alice", first, actor="x", now=now + timedelta(days=1))
    await batches.withdraw(conn, batch.batch.batch_id, now=now)
    with pytest.raises(Conflict, match="was withdrawn"):
        await redeem(conn, "alice", first, actor="x", now=now)
    assert await balance(conn, "alice") == 0
