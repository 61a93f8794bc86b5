"""Money of an account, live: the store's where it has the account, else the ledger's."""

from datetime import datetime

import pytest

from balances.housekeeping import StreamAndBooks
from billing.accounts import money, register
from billing.accounts.live import AccountBalances, balances
from billing.database import Connection, Pool
from billing.errors import NotFound
from billing.outbox.relay import Relay
from tests.billing.outbox.watched import WatchedStore


async def test_money_is_the_stores_once_it_has_it(
    conn: Connection, pool: Pool, store: WatchedStore, books: StreamAndBooks, now: datetime
) -> None:
    await register.create(
        conn, "alice", "EUR", credit_limit_micros=50, minimum_balance_micros=20, now=now
    )
    await money.top_up(conn, "alice", 100, actor="staff", now=now)
    as_booked = await balances(conn, books, "alice")
    assert as_booked == AccountBalances(*("alice", "EUR", 100, 0, 130, 50, 20, 100, 0), live=False)
    await Relay(pool, store).drain()
    live = await balances(conn, books, "alice")
    assert live == AccountBalances(*("alice", "EUR", 100, 0, 130, 50, 20, 100, 0), live=True)


async def test_unlimited_credit_has_no_bound(
    conn: Connection, books: StreamAndBooks, now: datetime
) -> None:
    await register.create(conn, "alice", "EUR", credit_limit_micros=None, now=now)
    assert (await balances(conn, books, "alice")).available_micros is None
    with pytest.raises(NotFound, match="nobody"):
        await balances(conn, books, "nobody")
