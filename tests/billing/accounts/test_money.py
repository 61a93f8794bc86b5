"""Money into accounts: in the ledger and on the road to the store together, once for each key."""

import asyncio
from datetime import datetime

import pytest

from balances.messages import Post, decode_movement
from billing.accounts import money, register
from billing.accounts.account import MAX_BALANCE_MICROS, AccountStatus
from billing.accounts.money import Receipt
from billing.database import Connection, Pool
from billing.errors import Conflict, InvalidInput, NotFound
from billing.ledger.statement import balance, statement


@pytest.fixture(autouse=True)
async def alice(pool: Pool, now: datetime) -> None:
    """An account without money."""
    async with pool.acquire() as conn:
        await register.create(conn, "alice", "EUR", now=now)


async def posted(conn: Connection) -> list[int]:
    rows = await conn.fetch("SELECT movement FROM store_outbox ORDER BY sequence")
    movements = [decode_movement(row[0]) for row in rows]
    assert [movement.sequence for movement in movements] == list(range(1, len(movements) + 1))
    return [movement.amount for movement in movements if isinstance(movement, Post)]


async def test_a_topup_is_in_the_ledger_and_on_the_road(conn: Connection, now: datetime) -> None:
    receipt = await money.top_up(conn, "alice", 2_500_000, actor="staff", now=now)
    [row] = await statement(conn, "alice")
    assert receipt == Receipt("alice", row.transaction_id, 2_500_000, repeated=False)
    assert (row.amount_micros, row.balance_micros, row.actor) == (2_500_000, 2_500_000, "staff")
    assert await posted(conn) == [2_500_000]


async def test_an_adjustment_takes_and_gives(conn: Connection, now: datetime) -> None:
    await money.adjust(conn, "alice", -40, reason="fee", beyond_limits=True, actor="staff", now=now)
    await money.adjust(conn, "alice", 15, reason="goodwill", actor="staff", now=now)
    assert await balance(conn, "alice") == -25
    assert await posted(conn) == [-40, 15]
    assert [row.description for row in await statement(conn, "alice")] == ["fee", "goodwill"]


async def test_the_same_key_pays_once(conn: Connection, now: datetime) -> None:
    first = await money.top_up(conn, "alice", 5, key="k", actor="staff", now=now)
    again = await money.top_up(conn, "alice", 5, key="k", actor="other", now=now)
    assert not first.repeated
    assert again == Receipt("alice", first.transaction_id, 5, repeated=True)
    assert await balance(conn, "alice") == 5
    assert await posted(conn) == [5]


async def test_without_a_key_each_pays(conn: Connection, now: datetime) -> None:
    for _ in range(2):
        await money.top_up(conn, "alice", 5, actor="staff", now=now)
    assert await balance(conn, "alice") == 10


async def test_the_same_key_for_something_else_is_refused(conn: Connection, now: datetime) -> None:
    await money.top_up(conn, "alice", 5_000_000, key="k", actor="staff", now=now)
    with pytest.raises(Conflict, match=r"'k' was used for a topup of 5\.00 .* topup of 6\.00"):
        await money.top_up(conn, "alice", 6_000_000, key="k", actor="staff", now=now)
    with pytest.raises(Conflict, match=r"'k' was used for a topup"):
        await money.adjust(conn, "alice", 5_000_000, reason="r", key="k", actor="staff", now=now)
    assert await balance(conn, "alice") == 5_000_000


async def test_another_account_has_keys_of_its_own(conn: Connection, now: datetime) -> None:
    await register.create(conn, "bob", "EUR", now=now)
    for account in ("alice", "bob"):
        receipt = await money.top_up(conn, account, 5, key="k", actor="staff", now=now)
        assert not receipt.repeated


async def test_one_key_used_by_many_at_once_pays_once(pool: Pool, now: datetime) -> None:
    async def pay() -> Receipt:
        async with pool.acquire() as conn:
            return await money.top_up(conn, "alice", 5, key="k", actor="staff", now=now)

    receipts = await asyncio.gather(*(pay() for _ in range(8)))
    assert sorted(receipt.repeated for receipt in receipts) == [False] + [True] * 7
    assert len({receipt.transaction_id for receipt in receipts}) == 1
    async with pool.acquire() as conn:
        assert await balance(conn, "alice") == 5
        assert await posted(conn) == [5]


async def test_many_topups_at_once_are_all_there(pool: Pool, now: datetime) -> None:
    async def pay(micros: int) -> None:
        async with pool.acquire() as conn:
            await money.top_up(conn, "alice", micros, key=f"k{micros}", actor="staff", now=now)

    await asyncio.gather(*(pay(micros) for micros in range(1, 41)))
    async with pool.acquire() as conn:
        assert await balance(conn, "alice") == sum(range(1, 41))
        assert sorted(await posted(conn)) == list(range(1, 41))
        assert (await statement(conn, "alice"))[-1].balance_micros == sum(range(1, 41))


@pytest.mark.parametrize("micros", [0, -1, MAX_BALANCE_MICROS + 1])
async def test_an_amount_that_cannot_be_is_refused(
    conn: Connection, now: datetime, micros: int
) -> None:
    with pytest.raises(InvalidInput):
        await money.top_up(conn, "alice", micros, actor="staff", now=now)
    assert await posted(conn) == []


async def test_a_balance_never_leaves_what_the_store_can_count(
    conn: Connection, now: datetime
) -> None:
    await money.top_up(conn, "alice", MAX_BALANCE_MICROS, actor="staff", now=now)
    with pytest.raises(InvalidInput, match="beyond"):
        await money.top_up(conn, "alice", 1, actor="staff", now=now)
    assert await balance(conn, "alice") == MAX_BALANCE_MICROS


@pytest.mark.parametrize("reason", ["", "  "])
async def test_an_adjustment_needs_a_reason(conn: Connection, now: datetime, reason: str) -> None:
    with pytest.raises(InvalidInput, match="reason"):
        await money.adjust(conn, "alice", 1, reason=reason, actor="staff", now=now)


async def test_an_account_that_is_not_there_is_not_found(conn: Connection, now: datetime) -> None:
    with pytest.raises(NotFound, match="nobody"):
        await money.top_up(conn, "nobody", 5, actor="staff", now=now)


async def test_a_closed_account_takes_no_money_but_its_rest_can_be_cleared(
    conn: Connection, now: datetime
) -> None:
    await money.top_up(conn, "alice", 5, key="k", actor="staff", now=now)
    await register.set_status(conn, "alice", AccountStatus.CLOSED, now=now)
    with pytest.raises(Conflict, match="is closed"):
        await money.top_up(conn, "alice", 5, actor="staff", now=now)
    assert (await money.top_up(conn, "alice", 5, key="k", actor="staff", now=now)).repeated
    await money.adjust(conn, "alice", -5, reason="paid out", actor="staff", now=now)
    assert await balance(conn, "alice") == 0


async def test_no_more_is_taken_than_is_available(conn: Connection, now: datetime) -> None:
    await register.set_limits(
        conn, "alice", credit_limit_micros=30, minimum_balance_micros=10, now=now
    )
    await money.top_up(conn, "alice", 100, actor="staff", now=now)
    with pytest.raises(Conflict, match=r"0\.000121 is more than the 0\.00012 EUR available"):
        await money.adjust(conn, "alice", -121, reason="fee", actor="staff", now=now)
    await money.adjust(conn, "alice", -120, reason="fee", actor="staff", now=now)
    assert await balance(conn, "alice") == -20
    await register.set_limits(
        conn, "alice", credit_limit_micros=None, minimum_balance_micros=0, now=now
    )
    await money.adjust(conn, "alice", -9_000_000, reason="fee", actor="staff", now=now)
