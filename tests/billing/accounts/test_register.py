"""The register of accounts: what is kept, and what is posted to the store with it."""

import asyncio
from datetime import datetime

import pytest

from balances.messages import AnyMovement, OpenAccount, SetLimits, SetStatus, decode_movement
from billing.accounts import money, register
from billing.accounts.account import AccountStatus, BillingAccount, PaymentMode
from billing.database import Connection, Pool
from billing.errors import Conflict, InvalidInput, NotFound


async def posted(conn: Connection, account: str) -> list[AnyMovement]:
    rows = await conn.fetch(
        "SELECT movement FROM store_outbox WHERE account_id = $1 ORDER BY sequence", account
    )
    return [decode_movement(row[0]) for row in rows]


async def test_an_account_that_is_created_can_be_read_and_is_opened_in_the_store(
    conn: Connection, now: datetime
) -> None:
    created = await register.create(
        conn,
        "alice",
        "EUR",
        PaymentMode.POSTPAID,
        credit_limit_micros=None,
        minimum_balance_micros=3,
        now=now,
    )
    assert created == BillingAccount(
        account="alice",
        currency="EUR",
        payment_mode=PaymentMode.POSTPAID,
        status=AccountStatus.ACTIVE,
        credit_limit_micros=None,
        minimum_balance_micros=3,
        balance_micros=0,
        created_at=now,
    )
    assert await register.get(conn, "alice") == created
    assert await posted(conn, "alice") == [OpenAccount("alice", 1, "EUR", None, 3)]


async def test_an_account_is_created_once(pool: Pool, now: datetime) -> None:
    async def create() -> bool:
        async with pool.acquire() as conn:
            try:
                await register.create(conn, "alice", "EUR", now=now)
            except Conflict:
                return False
            return True

    assert sorted(await asyncio.gather(*(create() for _ in range(5)))) == [False] * 4 + [True]
    async with pool.acquire() as conn:
        assert len(await posted(conn, "alice")) == 1


@pytest.mark.parametrize(("account", "currency"), [("a b", "EUR"), ("a", "EURO")])
async def test_an_account_that_cannot_be_is_not_created(
    conn: Connection, now: datetime, account: str, currency: str
) -> None:
    with pytest.raises(InvalidInput):
        await register.create(conn, account, currency, now=now)
    assert await register.list_(conn) == []


async def test_an_account_that_is_not_there_is_not_found(conn: Connection, now: datetime) -> None:
    with pytest.raises(NotFound, match="nobody"):
        await register.get(conn, "nobody")
    with pytest.raises(NotFound, match="nobody"):
        await register.set_status(conn, "nobody", AccountStatus.CLOSED, now=now)
    with pytest.raises(NotFound, match="nobody"):
        await register.set_limits(
            conn, "nobody", credit_limit_micros=0, minimum_balance_micros=0, now=now
        )


async def test_accounts_are_listed_in_pages_with_their_balances(
    conn: Connection, now: datetime
) -> None:
    for name in ("c", "a", "B", "d"):
        await register.create(conn, name, "EUR", now=now)
    await money.top_up(conn, "c", 7, actor="staff", now=now)
    first = await register.list_(conn, limit=3)
    rest = await register.list_(conn, after=first[-1].account, limit=3)
    assert [(a.account, a.balance_micros) for a in first + rest] == [
        ("B", 0),
        ("a", 0),
        ("c", 7),
        ("d", 0),
    ]


async def test_limits_that_change_are_posted_and_those_that_do_not_are_not(
    conn: Connection, now: datetime
) -> None:
    await register.create(conn, "alice", "EUR", now=now)
    for limit in (0, 5, 5, None):
        await register.set_limits(
            conn, "alice", credit_limit_micros=limit, minimum_balance_micros=0, now=now
        )
    assert (await register.get(conn, "alice")).credit_limit_micros is None
    assert (await posted(conn, "alice"))[1:] == [
        SetLimits("alice", 2, 5, 0),
        SetLimits("alice", 3, None, 0),
    ]


async def test_a_status_that_changes_is_posted(conn: Connection, now: datetime) -> None:
    await register.create(conn, "alice", "EUR", now=now)
    for status in ("active", "suspended", "suspended", "active", "closed", "closed"):
        await register.set_status(conn, "alice", AccountStatus(status), now=now)
    assert (await register.get(conn, "alice")).status is AccountStatus.CLOSED
    assert (await posted(conn, "alice"))[1:] == [
        SetStatus("alice", 2, suspended=True, closed=False),
        SetStatus("alice", 3, suspended=False, closed=False),
        SetStatus("alice", 4, suspended=False, closed=True),
    ]


async def test_a_closed_account_stays_closed(conn: Connection, now: datetime) -> None:
    await register.create(conn, "alice", "EUR", now=now)
    await register.set_status(conn, "alice", AccountStatus.CLOSED, now=now)
    with pytest.raises(Conflict, match="is closed"):
        await register.set_status(conn, "alice", AccountStatus.ACTIVE, now=now)
