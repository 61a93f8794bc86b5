"""Writing to the ledger, and that nothing but writing is possible."""

from datetime import datetime

import asyncpg
import pytest

from billing.accounts import register
from billing.database import Connection
from billing.ledger import journal
from billing.ledger.chart import Ledger
from billing.ledger.statement import balance
from billing.ledger.transaction import Kind, Posting, StreamRange, Transaction, topup


@pytest.fixture
async def account(conn: Connection, now: datetime) -> str:
    """An account without money."""
    return (await register.create(conn, "alice", "EUR", now=now)).account


def usage(account: str, micros: int) -> Transaction:
    return Transaction(
        Kind.USAGE,
        None,
        "Usage",
        "settlement",
        (
            Posting(Ledger.CUSTOMER_CREDIT, account, "EUR", micros),
            Posting(Ledger.REVENUE, None, "EUR", -micros),
        ),
        stream=StreamRange(0, 1, 10, 19),
    )


async def test_what_is_written_can_be_read(conn: Connection, account: str, now: datetime) -> None:
    made = topup(account, "EUR", 5_000_000, actor="staff", idempotency_key="k")
    number = await journal.write(conn, made, now)
    row = await conn.fetchrow("SELECT * FROM billing_transactions")
    assert row is not None
    assert dict(row) == {
        "transaction_id": number, "posted_at": now, "kind": "topup", "account_id": account,
        "description": "Top-up", "actor": "staff", "idempotency_key": "k", "partition": None,
        "generation": None, "first_sequence": None, "last_sequence": None,
    }  # fmt: skip
    postings = await conn.fetch(
        "SELECT transaction_id, posted_at, ledger, account_id, currency, amount_micros"
        " FROM ledger_postings ORDER BY ledger"
    )
    assert [tuple(posting) for posting in postings] == [
        (number, now, Ledger.CASH, None, "EUR", 5_000_000),
        (number, now, Ledger.CUSTOMER_CREDIT, account, "EUR", -5_000_000),
    ]


async def test_usage_names_the_entries_it_books(
    conn: Connection, account: str, now: datetime
) -> None:
    await journal.write(conn, usage(account, 7), now)
    row = await conn.fetchrow(
        "SELECT partition, generation, first_sequence, last_sequence FROM billing_transactions"
    )
    assert row is not None
    assert tuple(row) == (0, 1, 10, 19)


async def test_many_are_written_as_one_by_one(
    conn: Connection, account: str, now: datetime
) -> None:
    single = await journal.write(conn, usage(account, 3), now)
    many = await journal.write_many(conn, [usage(account, micros) for micros in range(1, 101)], now)
    assert len(set(many)) == 100
    assert single not in many
    assert await balance(conn, account) == -3 - sum(range(1, 101))
    rows = await conn.fetch(
        "SELECT transaction_id, amount_micros FROM ledger_postings"
        " WHERE ledger = $1 AND transaction_id <> $2",
        Ledger.CUSTOMER_CREDIT,
        single,
    )
    assert {row[0]: row[1] for row in rows} == dict(zip(many, range(1, 101), strict=True))
    following = await journal.write(conn, usage(account, 1), now)
    assert following not in many


async def test_a_key_is_used_once(conn: Connection, account: str, now: datetime) -> None:
    made = topup(account, "EUR", 1, actor="staff", idempotency_key="k")
    await journal.write(conn, made, now)
    with pytest.raises(asyncpg.UniqueViolationError):
        await journal.write(conn, made, now)


async def test_the_schema_refuses_what_does_not_balance(
    conn: Connection, account: str, now: datetime
) -> None:
    number = await journal.write(conn, usage(account, 7), now)
    await conn.execute("SET ROLE NONE")
    for table in ("ledger_postings", "ledger_postings_2026_03"):
        with pytest.raises(asyncpg.IntegrityConstraintViolationError, match="does not balance"):
            await conn.execute(
                f"INSERT INTO {table} VALUES ($1, $2, 10, NULL, 'EUR', 1)", number, now
            )


@pytest.mark.parametrize("table", ["ledger_postings", "ledger_postings_2026_03"])
@pytest.mark.parametrize(
    "change", ["UPDATE {} SET posted_at = now()", "DELETE FROM {}", "TRUNCATE {}"]
)
async def test_the_schema_refuses_changes(
    conn: Connection, account: str, now: datetime, table: str, change: str
) -> None:
    await journal.write(conn, usage(account, 7), now)
    for ledger in (table, "billing_transactions"):
        # The role that we work in has no privilege; the triggers are for whoever has one.
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="permission denied"):
            await conn.execute(change.format(ledger))
    await conn.execute("SET ROLE NONE")
    with pytest.raises(asyncpg.IntegrityConstraintViolationError, match="append-only"):
        await conn.execute(change.format(table))
    # Postgres itself refuses to truncate what payments refer to, before any trigger is asked.
    refusals = (asyncpg.IntegrityConstraintViolationError, asyncpg.FeatureNotSupportedError)
    with pytest.raises(refusals, match=r"append-only|referenced in a foreign key"):
        await conn.execute(change.format("billing_transactions"))
