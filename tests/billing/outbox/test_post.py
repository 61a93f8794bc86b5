"""Movements get the next sequences of their accounts, without gaps, also from many at once."""

import asyncio
from datetime import datetime

import pytest

from balances.messages import (
    AnyMovement,
    OpenAccount,
    Post,
    PutSubscriber,
    SetLimits,
    SetStatus,
    decode_movement,
)
from billing.accounts import register
from billing.database import Connection, Pool
from billing.outbox.post import UNNUMBERED, post


@pytest.fixture
async def accounts(conn: Connection, now: datetime) -> list[str]:
    """Accounts whose first movement (they were opened) is on the road."""
    names = ["alice", "bob", "carol"]
    for name in names:
        await register.create(conn, name, "EUR", now=now)
    return names


async def on_the_road(conn: Connection) -> list[AnyMovement]:
    rows = await conn.fetch("SELECT * FROM store_outbox ORDER BY account_id, sequence")
    movements = [decode_movement(row["movement"]) for row in rows]
    assert [(m.account, m.sequence) for m in movements] == [
        (row["account_id"], row["sequence"]) for row in rows
    ]
    return movements


async def test_movements_arrive_as_they_were_posted(
    conn: Connection, accounts: list[str], now: datetime
) -> None:
    posted: list[AnyMovement] = [
        Post("alice", UNNUMBERED, -(2**53) + 1),
        SetLimits("alice", UNNUMBERED, None, -5),
        SetStatus("alice", UNNUMBERED, suspended=True, closed=False),
        PutSubscriber("alice", UNNUMBERED, 'näme "with" \\ | and ☎', "plan"),
    ]
    async with conn.transaction():
        assert await post(conn, posted, now) == [2, 3, 4, 5]
    arrived = [m for m in await on_the_road(conn) if m.account == "alice"]
    assert arrived == [
        OpenAccount("alice", 1, "EUR", 0, 0),
        Post("alice", 2, -(2**53) + 1),
        SetLimits("alice", 3, None, -5),
        SetStatus("alice", 4, suspended=True, closed=False),
        PutSubscriber("alice", 5, 'näme "with" \\ | and ☎', "plan"),
    ]


async def test_each_account_counts_for_itself(
    conn: Connection, accounts: list[str], now: datetime
) -> None:
    order = ["bob", "alice", "bob", "bob", "carol", "alice"]
    async with conn.transaction():
        sequences = await post(conn, [Post(name, UNNUMBERED, 1) for name in order], now)
    assert sequences == [2, 2, 3, 4, 2, 3]


async def test_more_than_one_statement_takes_are_counted_on(
    conn: Connection, accounts: list[str], now: datetime
) -> None:
    async with conn.transaction():
        sequences = await post(conn, [Post("bob", UNNUMBERED, 1)] * 25_000, now)
    assert sequences == list(range(2, 25_002))


async def test_what_is_rolled_back_leaves_no_gap(
    conn: Connection, accounts: list[str], now: datetime
) -> None:
    transaction = conn.transaction()
    await transaction.start()
    await post(conn, [Post("bob", UNNUMBERED, 1)], now)
    await transaction.rollback()
    async with conn.transaction():
        assert await post(conn, [Post("bob", UNNUMBERED, 2)], now) == [2]
    assert [m for m in await on_the_road(conn) if isinstance(m, Post)] == [Post("bob", 2, 2)]


async def test_many_posters_at_once_leave_no_gap_and_no_double(
    pool: Pool, accounts: list[str], now: datetime
) -> None:
    async def one(number: int) -> list[int]:
        async with pool.acquire() as conn, conn.transaction():
            return await post(conn, [Post("bob", UNNUMBERED, number)] * 3, now)

    given = await asyncio.gather(*(one(number) for number in range(1, 21)))
    assert sorted(n for sequences in given for n in sequences) == list(range(2, 62))
    assert all(sequences == list(range(sequences[0], sequences[0] + 3)) for sequences in given)


async def test_relays_are_told_after_the_commit(
    pool: Pool, accounts: list[str], now: datetime
) -> None:
    told: asyncio.Queue[object] = asyncio.Queue()

    def hear(_connection: object, _pid: int, _channel: str, payload: object) -> None:
        told.put_nowait(payload)

    async with pool.acquire() as listener, pool.acquire() as conn:
        await listener.add_listener("ratewire_outbox", hear)
        async with conn.transaction():
            await post(conn, [Post("bob", UNNUMBERED, 1)], now)
            await listener.execute("SELECT 1")  # whatever was sent by now has been received
            assert told.empty()
        assert await told.get() == "bob"
        async with conn.transaction():
            await post(conn, [Post(name, UNNUMBERED, 1) for name in accounts], now)
        assert await told.get() == ""
        await listener.reset()


async def test_posting_outside_a_transaction_is_a_bug(
    conn: Connection, accounts: list[str], now: datetime
) -> None:
    with pytest.raises(AssertionError):
        await post(conn, [Post("bob", UNNUMBERED, 1)], now)


async def test_posting_for_an_account_that_does_not_exist_is_a_bug(
    conn: Connection, now: datetime
) -> None:
    with pytest.raises(AssertionError):
        async with conn.transaction():
            await post(conn, [Post("nobody", UNNUMBERED, 1)], now)
