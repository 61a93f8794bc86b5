"""Transactions are found by what staff know of them, in pages without hole or repetition."""

from datetime import datetime, timedelta

import pytest

from billing.accounts import money, register
from billing.database import Connection, Pool
from billing.ledger import journal
from billing.ledger.chart import Ledger
from billing.ledger.search import search
from billing.ledger.transaction import Kind, Posting, Transaction


@pytest.fixture(autouse=True)
async def history(pool: Pool, now: datetime) -> None:
    """Ten top-ups of alice and one of bob, an adjustment, and usage of both."""
    async with pool.acquire() as conn:
        for name in ("alice", "bob"):
            await register.create(conn, name, "EUR", now=now)
        for number in range(1, 11):
            at = now + timedelta(minutes=number)
            await money.top_up(conn, "alice", number, key=f"k{number}", actor="anna", now=at)
        await money.top_up(conn, "bob", 1000, actor="ben", now=now)
        await money.adjust(conn, "alice", -3, reason="Router returned", actor="ben", now=now)
        postings = (
            Posting(Ledger.CUSTOMER_CREDIT, "alice", "EUR", 4),
            Posting(Ledger.CUSTOMER_CREDIT, "bob", "EUR", 6),
            Posting(Ledger.REVENUE, None, "EUR", -10),
        )
        entry = Transaction(Kind.USAGE, None, "usage", "settlement", postings)
        await journal.write(conn, entry, now)


async def test_pages_leave_nothing_out_and_repeat_nothing(conn: Connection) -> None:
    for account, number in (("alice", 12), ("bob", 2), (None, 13)):
        seen: list[int] = []
        before = None
        while page := await search(conn, account=account, before=before, limit=5):
            seen += [found.transaction_id for found in page]
            before = seen[-1]
        assert seen == sorted(set(seen), reverse=True)
        assert len(seen) == number


async def test_amounts_are_what_it_did_to_the_account_or_to_all(conn: Connection) -> None:
    [of_alice] = await search(conn, account="alice", kind=Kind.USAGE)
    [of_bob] = await search(conn, account="bob", kind=Kind.USAGE)
    [of_all] = await search(conn, kind=Kind.USAGE)
    assert (of_alice.amounts_micros, of_bob.amounts_micros) == ({"EUR": -4}, {"EUR": -6})
    assert (of_all.account, of_all.amounts_micros) == (None, {"EUR": -10})
    [adjusted] = await search(conn, kind=Kind.ADJUSTMENT)
    assert (adjusted.account, adjusted.amounts_micros) == ("alice", {"EUR": -3})


async def test_each_filter_keeps_what_fits(conn: Connection, now: datetime) -> None:
    for account in ("alice", None):
        assert len(await search(conn, account=account, actor="anna")) == 10
        assert len(await search(conn, account=account, text="router RET")) == 1
        [one] = await search(conn, account=account, key="k7")
        assert one.amounts_micros == {"EUR": 7}
        within = await search(
            conn,
            account=account,
            since=now + timedelta(minutes=2),
            until=now + timedelta(minutes=4),
        )
        assert [found.idempotency_key for found in within] == ["k3", "k2"]
    assert len(await search(conn, account="alice", at_least_micros=8)) == 3
    assert len(await search(conn, at_least_micros=10)) == 3
