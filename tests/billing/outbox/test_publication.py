"""Publications: a revision stands for one state, and relays are told of it."""

import asyncio

import pytest

from billing.database import Connection, Pool
from billing.outbox.publication import changed, hold


async def revision(conn: Connection, what: str) -> int:
    return await conn.fetchval("SELECT revision FROM publications WHERE what = $1", what)


async def test_a_change_moves_its_own_revision(conn: Connection) -> None:
    async with conn.transaction():
        await changed(conn, "nas")
    assert (await revision(conn, "nas"), await revision(conn, "plans")) == (1, 0)


async def test_those_who_change_the_same_wait_for_each_other(pool: Pool) -> None:
    async with pool.acquire() as one, pool.acquire() as other:
        transaction = one.transaction()
        await transaction.start()
        await hold(one, "plans")
        await other.execute("SET lock_timeout = '50ms'")
        with pytest.raises(Exception, match="lock timeout"):
            async with other.transaction():
                await hold(other, "plans")
        async with other.transaction():
            await hold(other, "nas")
        await transaction.commit()
        async with other.transaction():
            await hold(other, "plans")


async def test_relays_are_told_after_the_commit(pool: Pool) -> None:
    told: asyncio.Queue[object] = asyncio.Queue()

    def hear(_connection: object, _pid: int, _channel: str, payload: object) -> None:
        told.put_nowait(payload)

    async with pool.acquire() as listener, pool.acquire() as conn:
        await listener.add_listener("ratewire_publications", hear)
        async with conn.transaction():
            await changed(conn, "plans")
        assert await told.get() == "plans"
        await listener.reset()


async def test_a_change_outside_a_transaction_is_a_bug(conn: Connection) -> None:
    for call in (hold, changed):
        with pytest.raises(AssertionError):
            await call(conn, "plans")
