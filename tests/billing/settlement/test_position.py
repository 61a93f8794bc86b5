"""Where settlement stands: begun once, held while somebody looks."""

import asyncio

import pytest

from balances.errors import StoreEmpty
from balances.messages import Position
from billing.database import Connection, Pool
from billing.settlement import position
from tests.billing.settlement.world import Books


async def test_books_are_begun_the_first_time_only(conn: Connection, books: Books) -> None:
    """An empty store is new beside a new database; beside an old one it has lost its books."""
    assert await position.read(conn, 0) is None
    begun = await position.begin(conn, books.streams, 0)
    assert begun.position == Position(position.FIRST_GENERATION, 0)
    assert (await books.streams.books()).position == begun.position

    await books.clear()
    assert await position.begin(conn, books.streams, 0) == begun
    with pytest.raises(StoreEmpty):
        await books.streams.books()


async def test_beginning_again_after_a_crash(conn: Connection, books: Books) -> None:
    """Books that were begun without Postgres knowing of it are taken as they are, from entry 0."""
    await books.streams.initialise(7)
    begun = await position.begin(conn, books.streams, 0)
    assert begun.position == Position(7, 0)


async def test_two_may_begin_at_once(pool: Pool, books: Books) -> None:
    """They agree."""

    async def begin() -> position.Settled:
        async with pool.acquire() as conn:
            return await position.begin(conn, books.streams, 0)

    first, second = await asyncio.gather(begin(), begin())
    assert first == second


async def test_a_held_position_does_not_move(pool: Pool, books: Books) -> None:
    """Whoever would move it waits until it is let go."""
    async with pool.acquire() as holder, pool.acquire() as mover:
        await position.begin(holder, books.streams, 0)
        holding = holder.transaction()
        await holding.start()
        held = await position.hold(holder, 0)
        assert held is not None
        moving = asyncio.create_task(
            mover.execute("UPDATE settlement_positions SET sequence = 5 WHERE partition = 0")
        )
        waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
        async with pool.acquire() as watcher, asyncio.timeout(10):
            while not await watcher.fetchval(waiting):
                await asyncio.sleep(0)
        assert await position.read(holder, 0) == held
        await holding.rollback()
        await moving
        moved = await position.read(holder, 0)
        assert moved is not None
        assert moved.position.sequence == 5
