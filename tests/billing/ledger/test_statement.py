"""Reading the ledger: balances are sums, and a statement explains them to the micro."""

from datetime import datetime, timedelta

import pytest

from billing.accounts import register
from billing.database import Connection
from billing.ledger import journal
from billing.ledger.chart import Ledger
from billing.ledger.statement import balance, statement
from billing.ledger.transaction import Kind, Posting, Transaction, adjustment, topup


@pytest.fixture
async def history(conn: Connection, now: datetime) -> list[int]:
    """What was done to the balance of alice, in order; bob's money beside it."""
    for account in ("alice", "bob"):
        await register.create(conn, account, "EUR", now=now)
    amounts = [5_000_000, -1_250_000, 333_333, -7, 2_000_000]
    for number, micros in enumerate(amounts):
        moment = now + timedelta(days=20 * number)  # over several partitions
        if micros > 0:
            made = topup("alice", "EUR", micros, actor="staff")
        else:
            made = adjustment("alice", "EUR", micros, actor="staff", description="correction")
        await journal.write(conn, made, moment)
        await journal.write(conn, topup("bob", "EUR", 1, actor="staff"), moment)
    return amounts


async def test_a_balance_is_the_sum_of_what_happened(conn: Connection, history: list[int]) -> None:
    assert await balance(conn, "alice") == sum(history)
    assert await balance(conn, "bob") == len(history)
    assert await balance(conn, "nobody") == 0


async def test_a_statement_runs_up_to_the_balance(conn: Connection, history: list[int]) -> None:
    rows = await statement(conn, "alice")
    assert [row.amount_micros for row in rows] == history
    assert [row.balance_micros for row in rows] == [
        sum(history[: end + 1]) for end in range(len(history))
    ]
    assert {row.ledger for row in rows} == {"customer_credit"}
    assert [row.kind for row in rows][:2] == [Kind.TOPUP, Kind.ADJUSTMENT]


async def test_a_statement_is_read_in_pages_from_the_newest(
    conn: Connection, history: list[int]
) -> None:
    whole = await statement(conn, "alice")
    pages = [await statement(conn, "alice", limit=2)]
    while len(page := await statement(conn, "alice", limit=2, before=pages[0][0].transaction_id)):
        pages.insert(0, page)
    assert [len(page) for page in pages] == [1, 2, 2]
    assert [row for page in pages for row in page] == whole


async def test_a_transaction_on_two_ledgers_of_a_customer_has_a_row_for_each(
    conn: Connection, history: list[int], now: datetime
) -> None:
    made = Transaction(
        Kind.ADJUSTMENT,
        "alice",
        "Usage invoiced",
        "staff",
        (
            Posting(Ledger.RECEIVABLE, "alice", "EUR", 500),
            Posting(Ledger.UNBILLED_USAGE, "alice", "EUR", -300),
            Posting(Ledger.UNBILLED_USAGE, "alice", "EUR", -200),
        ),
    )
    await journal.write(conn, made, now)
    rows = (await statement(conn, "alice"))[-2:]
    assert [(row.ledger, row.amount_micros) for row in rows] == [
        ("receivable", -500),
        ("unbilled_usage", 500),
    ]
    assert rows[-1].balance_micros == sum(history)
    # A page never ends within a transaction, or the next one would go on after it.
    pages = [await statement(conn, "alice", limit=1)]
    while page := await statement(conn, "alice", limit=1, before=pages[0][0].transaction_id):
        pages.insert(0, page)
    assert [row for page in pages for row in page] == await statement(conn, "alice")
