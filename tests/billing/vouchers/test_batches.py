"""Batches: their codes are told once, and only hashes are kept."""

from datetime import datetime, timedelta

import pytest

from billing.database import Connection
from billing.errors import InvalidInput, NotFound
from billing.vouchers.batches import NewBatch, create, get, list_, withdraw
from billing.vouchers.code import digest, parse


async def made(conn: Connection, now: datetime, vouchers: int = 3) -> NewBatch:
    return await create(
        conn,
        currency="EUR",
        amount_micros=10_000_000,
        vouchers=vouchers,
        description="kiosk",
        expires_at=now + timedelta(days=365),
        actor="staff",
        now=now,
    )


async def test_only_hashes_are_kept(conn: Connection, now: datetime) -> None:
    new = await made(conn, now)
    rows = await conn.fetch("SELECT code_hash, serial FROM vouchers ORDER BY serial")
    assert [(row[0], row[1]) for row in rows] == [
        (digest(parse(code)), at) for at, code in enumerate(new.codes, start=1)
    ]
    assert (new.batch.vouchers, new.batch.redeemed, new.batch.actor) == (3, 0, "staff")


async def test_a_withdrawn_batch_stays_so(conn: Connection, now: datetime) -> None:
    one, two = await made(conn, now), await made(conn, now)
    gone = await withdraw(conn, one.batch.batch_id, now=now)
    assert gone.withdrawn_at == now
    assert await withdraw(conn, one.batch.batch_id, now=now + timedelta(days=1)) == gone
    assert [each.batch_id for each in await list_(conn)] == [two.batch.batch_id, one.batch.batch_id]
    assert [each.batch_id for each in await list_(conn, before=two.batch.batch_id)] == [
        one.batch.batch_id
    ]


async def test_what_is_wrong_is_told(conn: Connection, now: datetime) -> None:
    with pytest.raises(InvalidInput, match="allowed are 1 to 100000"):
        await made(conn, now, vouchers=0)
    with pytest.raises(InvalidInput, match="which is past"):
        await create(
            conn,
            currency="EUR",
            amount_micros=10_000,
            vouchers=1,
            expires_at=now,
            actor="x",
            now=now,
        )
    with pytest.raises(InvalidInput, match="currency 'XXX'"):
        await create(conn, currency="XXX", amount_micros=1, vouchers=1, actor="x", now=now)
    with pytest.raises(NotFound):
        await get(conn, 9)
