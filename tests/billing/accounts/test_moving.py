"""A debit by hand looks at the row it holds: two at once never take the same money."""

import asyncio
from datetime import datetime

from billing.accounts import money, register
from billing.database import Connection, Pool
from billing.errors import Conflict
from billing.ledger.statement import balance


async def test_two_debits_never_take_the_same_money(
    pool: Pool, conn: Connection, now: datetime
) -> None:
    await register.create(conn, "alice", "EUR", now=now)
    await money.top_up(conn, "alice", 100, actor="x", now=now)

    async def take() -> bool:
        async with pool.acquire() as own:
            try:
                await money.adjust(own, "alice", -30, reason="r", actor="x", now=now)
            except Conflict:
                return False
            return True

    assert sum(await asyncio.gather(*(take() for _ in range(20)))) == 3
    assert await balance(conn, "alice") == 10
