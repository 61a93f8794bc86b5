"""A request under a key is done once, however many send it at once, and not at all if it fails."""

import asyncio
from datetime import datetime, timedelta

import pytest

from billing.database import Connection, Pool
from billing.requests.once import REMEMBERED, Answered, KeyReused, begin, end

TOKEN, HASH = b"t" * 32, b"h" * 32


async def test_the_second_gets_the_answer_of_the_first(conn: Connection, now: datetime) -> None:
    async with conn.transaction():
        assert await begin(conn, TOKEN, "k", HASH, now) is None
        await end(conn, TOKEN, "k", Answered(201, b"{}"))
    async with conn.transaction():
        assert await begin(conn, TOKEN, "k", HASH, now) == Answered(201, b"{}")
        assert await begin(conn, b"o" * 32, "k", HASH, now) is None
        with pytest.raises(KeyReused, match="'k' was used for another request"):
            await begin(conn, TOKEN, "k", b"x" * 32, now)


async def test_one_that_failed_may_be_tried_again(conn: Connection, now: datetime) -> None:
    undone = conn.transaction()
    await undone.start()
    await begin(conn, TOKEN, "k", HASH, now)
    await undone.rollback()
    async with conn.transaction():
        assert await begin(conn, TOKEN, "k", HASH, now) is None


async def test_thirty_at_once(pool: Pool, now: datetime) -> None:
    async def send(number: int) -> Answered | None:
        async with pool.acquire() as conn, conn.transaction():
            answer = await begin(conn, TOKEN, "k", HASH, now)
            if answer is None:
                await asyncio.sleep(0.05)
                await end(conn, TOKEN, "k", Answered(201, str(number).encode()))
            return answer

    answers = await asyncio.gather(*(send(number) for number in range(30)))
    assert answers.count(None) == 1
    done = str(answers.index(None)).encode()
    assert all(answer is None or answer == Answered(201, done) for answer in answers)


async def test_keys_are_forgotten(conn: Connection, now: datetime) -> None:
    async with conn.transaction():
        await begin(conn, TOKEN, "k", HASH, now)
        await end(conn, TOKEN, "k", Answered(201, b"{}"))
    async with conn.transaction():
        later = now + REMEMBERED + timedelta(seconds=1)
        assert await begin(conn, TOKEN, "k", HASH, later) is None
