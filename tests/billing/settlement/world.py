"""A small world to settle: a real store, and a desk where accounts are opened and topped up."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from balances.connection import Connection
from balances.housekeeping import Housekeeping, StreamAndBooks
from balances.messages import PutSubscriber
from balances.restoration import Restoration
from balances.store import Store
from billing.accounts.account import PaymentMode
from billing.accounts.money import adjust, top_up
from billing.accounts.register import create
from billing.database import Connection as DatabaseConnection
from billing.database import Pool
from billing.outbox.post import UNNUMBERED, post
from billing.outbox.relay import Relay
from rating.plan import Plan
from rating.tariff import Counter, Rule, Tariff


def metered(currency: str = "EUR", *, price_micros: int = 2_000_000, version: int = 1) -> Plan:
    """EUR 2.00 per GB, both directions together, in steps of 1,000 octets."""
    rule = Rule(Counter.OCTETS_TOTAL, price_micros, 10**9, 1000, 1000)
    return Plan(f"metered-{currency}", version, Tariff(currency, (rule,)))


async def keep_plan(conn: DatabaseConnection, plan: Plan) -> None:
    """Keep a plan version in Postgres."""
    await conn.execute(
        "INSERT INTO plans VALUES ($1, $2, $3, now())",
        plan.name,
        plan.version,
        msgspec.json.encode(plan),
    )


class Books:
    """The store under its ports, on one connection."""

    def __init__(self, url: str) -> None:
        self.connection = Connection(url)
        self.store = Store(self.connection)
        self.streams = StreamAndBooks(self.connection)
        self.restoration = Restoration(self.connection)
        self.housekeeping = Housekeeping(self.connection)

    async def clear(self) -> None:
        """Empty the store, as a loss of it would."""
        await self.connection.command("FLUSHALL")


class Desk:
    """Posts in Postgres what comes from outside, and relays it to the store."""

    def __init__(self, pool: Pool, books: Books, now: datetime) -> None:
        self._pool = pool
        self._relay = Relay(pool, books.store)
        self._now = now

    async def open_account(
        self,
        account: str,
        balance: int = 0,
        *,
        currency: str = "EUR",
        postpaid: bool = False,
        users: Sequence[str] = (),
        relay: bool = True,
    ) -> None:
        """Create an account with a balance and subscribers, here and (if relayed) in the store."""
        plan = metered(currency).name
        mode = PaymentMode.POSTPAID if postpaid else PaymentMode.PREPAID
        async with self._pool.acquire() as conn, conn.transaction():
            await create(
                conn,
                account,
                currency,
                mode,
                credit_limit_micros=None if postpaid else 0,
                now=self._now,
            )
            await conn.executemany(
                "INSERT INTO subscribers (username, account_id, plan, created_at)"
                " VALUES ($1, $2, $3, $4)",
                [(username, account, plan, self._now) for username in users],
            )
            await post(
                conn,
                [PutSubscriber(account, UNNUMBERED, username, plan) for username in users],
                self._now,
            )
        if balance:
            await self.post(account, balance)
        if relay:
            await self.relay()

    async def post(self, account: str, amount: int) -> None:
        """Post money in (or out), to reach the store with the next relay."""
        async with self._pool.acquire() as conn:
            if amount > 0:
                await top_up(conn, account, amount, actor="test", now=self._now)
            else:
                await adjust(
                    conn,
                    account,
                    amount,
                    reason="test",
                    beyond_limits=True,
                    actor="test",
                    now=self._now,
                )

    async def relay(self) -> int:
        """Bring what waits in the outbox to the store; return how much that was."""
        return await self._relay.drain()
