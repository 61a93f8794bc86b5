"""A small world to settle: a real store, and a desk where accounts are opened and topped up."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from balances.connection import Connection
from balances.housekeeping import Housekeeping, StreamAndBooks
from balances.messages import (
    Movement,
    OpenAccount,
    Post,
    PutSubscriber,
    decode_movement,
    encode_movement,
)
from balances.restoration import Restoration
from balances.store import Store
from billing import database
from billing.database import Pool
from rating.plan import Plan
from rating.tariff import Counter, Rule, Tariff


def metered(currency: str = "EUR", *, price_micros: int = 2_000_000, version: int = 1) -> Plan:
    """EUR 2.00 per GB, both directions together, in steps of 1,000 octets."""
    rule = Rule(Counter.OCTETS_TOTAL, price_micros, 10**9, 1000, 1000)
    return Plan(f"metered-{currency}", version, Tariff(currency, (rule,)))


async def keep_plan(conn: database.Connection, plan: Plan) -> None:
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
        self._store = books.store
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
        async with self._pool.acquire() as conn, conn.transaction():
            await conn.execute(
                "INSERT INTO customer_billing_accounts (account_id, currency, payment_mode,"
                " credit_limit_micros, created_at) VALUES ($1, $2, $3, $4, $5)",
                account, currency, "postpaid" if postpaid else "prepaid",
                None if postpaid else 0, self._now,
            )  # fmt: skip
            limit = None if postpaid else 0
            await self._move(conn, OpenAccount(account, 0, currency=currency, credit_limit=limit))
            for username in users:
                await conn.execute(
                    "INSERT INTO subscribers (username, account_id, plan, created_at)"
                    " VALUES ($1, $2, $3, $4)", username, account, plan, self._now,
                )  # fmt: skip
                await self._move(conn, PutSubscriber(account, 0, username=username, plan=plan))
        if balance:
            await self.post(account, balance)
        if relay:
            await self.relay()

    async def post(self, account: str, amount: int) -> None:
        """Post money in (or out), to reach the store with the next relay."""
        async with self._pool.acquire() as conn, conn.transaction():
            await self._move(conn, Post(account, 0, amount=amount))
            await conn.execute(
                "WITH entry AS (INSERT INTO billing_transactions (posted_at, kind, account_id,"
                " description, actor) VALUES ($1, 'topup', $2, 'top-up', 'test')"
                " RETURNING transaction_id)"
                " INSERT INTO ledger_postings SELECT transaction_id, $1::timestamptz, side.ledger,"
                " $2::text, currency, side.sign * $3::bigint FROM entry,"
                " customer_billing_accounts, (VALUES (10::smallint, 1), (20::smallint, -1))"
                " AS side (ledger, sign) WHERE account_id = $2",
                self._now, account, amount,
            )  # fmt: skip

    async def _move(self, conn: database.Connection, movement: Movement) -> None:
        sequence = await conn.fetchval(
            "UPDATE customer_billing_accounts SET movement_sequence = movement_sequence + 1"
            " WHERE account_id = $1 RETURNING movement_sequence",
            movement.account,
        )
        await conn.execute(
            "INSERT INTO store_outbox VALUES ($1, $2, $3, $4)",
            movement.account,
            sequence,
            encode_movement(msgspec.structs.replace(movement, sequence=sequence)),
            self._now,
        )

    async def relay(self, limit: int = 500) -> int:
        """Apply what is in the outbox, and delete it once it is applied; return how much."""
        async with self._pool.acquire() as conn:
            rows = await conn.fetch(
                "SELECT account_id, sequence, movement FROM store_outbox"
                " ORDER BY account_id, sequence LIMIT $1",
                limit,
            )
            if not rows:
                return 0
            await self._store.apply([decode_movement(row["movement"]) for row in rows])
            await conn.executemany(
                "DELETE FROM store_outbox WHERE account_id = $1 AND sequence = $2",
                [(row["account_id"], row["sequence"]) for row in rows],
            )
            return len(rows)
