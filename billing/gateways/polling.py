"""Asking gateways about payments whose end they did not tell."""

from collections.abc import Iterable
from datetime import datetime

from billing.database import Pool
from billing.payments import register
from billing.payments.gateway import Gateway, ask_again
from billing.payments.payment import Payment
from billing.statements import load

SQL = load(__package__, "queries.sql")


async def ask(
    pool: Pool, gateways: Iterable[Gateway], now: datetime, limit: int = 50
) -> list[Payment]:
    """Ask about the payments that it is time for; return those that have ended now."""
    ended: list[Payment] = []
    for gateway in gateways:
        for row in await pool.fetch(SQL["to_ask"], gateway.name, now, limit):
            async with pool.acquire() as conn:
                await conn.execute(SQL["asked"], row["payment_id"], now)
                before = await register.get(conn, row["payment_id"])
            after = await ask_again(pool, gateway, before, actor=gateway.name, now=now)
            if after.status is not before.status:
                ended.append(after)
    return ended
