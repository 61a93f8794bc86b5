"""Writing transactions. Nothing here changes one that was written: the ledger is append-only."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from billing.database import Connection
from billing.ledger.transaction import Transaction
from billing.statements import load

SQL = load(__package__, "queries.sql")

_TRANSACTION_COLUMNS = [
    *("transaction_id", "posted_at", "kind", "account_id", "description", "actor"),
    *("idempotency_key", "partition", "generation", "first_sequence", "last_sequence"),
]
_POSTING_COLUMNS = [
    *("transaction_id", "posted_at", "ledger", "account_id", "currency", "amount_micros"),
]
_NO_STREAM = (None, None, None, None)


async def write(conn: Connection, transaction: Transaction, now: datetime) -> int:
    """Write a transaction, posted at `now`, and return its id.

    In the caller's database transaction, if there is one. Raises asyncpg.UniqueViolationError if
    the account has a transaction with that idempotency key.
    """
    postings = transaction.postings
    return await conn.fetchval(
        SQL["write_transaction"],
        now,
        *_row(transaction),
        [posting.ledger for posting in postings],
        [posting.account for posting in postings],
        [posting.currency for posting in postings],
        [posting.amount_micros for posting in postings],
    )


async def write_many(
    conn: Connection, transactions: Sequence[Transaction], now: datetime
) -> list[int]:
    """Write transactions as `write` does, all or none, and return their ids in order."""
    async with conn.transaction():
        ids: list[int] = [row[0] for row in await conn.fetch(SQL["reserve_ids"], len(transactions))]
        await conn.copy_records_to_table(
            "billing_transactions",
            columns=_TRANSACTION_COLUMNS,
            records=[
                (number, now, *_row(transaction))
                for number, transaction in zip(ids, transactions, strict=True)
            ],
        )
        await conn.copy_records_to_table(
            "ledger_postings",
            columns=_POSTING_COLUMNS,
            records=[
                (number, now, p.ledger, p.account, p.currency, p.amount_micros)
                for number, transaction in zip(ids, transactions, strict=True)
                for p in transaction.postings
            ],
        )
    return ids


def _row(transaction: Transaction) -> tuple[str | int | None, ...]:
    stream = transaction.stream
    return (
        transaction.kind,
        transaction.account,
        transaction.description,
        transaction.actor,
        transaction.idempotency_key,
        *(_NO_STREAM if stream is None else msgspec.structs.astuple(stream)),
    )
