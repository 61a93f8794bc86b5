"""Reading the ledger: the balance of an account, and how it came about."""

from datetime import datetime

import msgspec

from billing.database import Connection
from billing.ledger.chart import Ledger
from billing.ledger.transaction import Kind
from billing.statements import load

SQL = load(__package__, "queries.sql")


class StatementRow(msgspec.Struct, frozen=True):
    """One posting to an account, as its customer sees it.

    `amount_micros` is what it did to the balance (money in is positive), `balance_micros` the
    balance after it; `ledger` the name of the customer's ledger it is on.
    """

    transaction_id: int
    posted_at: datetime
    kind: Kind
    description: str
    actor: str
    idempotency_key: str | None
    ledger: str
    currency: str
    amount_micros: int
    balance_micros: int


async def balance(conn: Connection, account: str) -> int:
    """Return the balance of an account in micros, from all its postings; 0 if it has none."""
    return await conn.fetchval(SQL["balance"], account)


async def credit(conn: Connection, account: str) -> int:
    """Return the credit of an account in micros: what can be refunded, or put on documents."""
    return await conn.fetchval(SQL["credit"], account)


async def statement(
    conn: Connection, account: str, *, limit: int = 100, before: int | None = None
) -> list[StatementRow]:
    """Return the rows of the last `limit` transactions of an account, oldest first.

    `before` is the transaction id of the oldest row that is already known: the rows before it are
    returned.
    """
    assert limit > 0, limit
    rows = await conn.fetch(SQL["statement"], account, before, limit)
    return [
        StatementRow(
            transaction_id=row["transaction_id"],
            posted_at=row["posted_at"],
            kind=Kind(row["kind"]),
            description=row["description"],
            actor=row["actor"],
            idempotency_key=row["idempotency_key"],
            ledger=Ledger(row["ledger"]).name.lower(),
            currency=row["currency"],
            amount_micros=row["amount_micros"],
            balance_micros=row["balance_micros"],
        )
        for row in reversed(rows)
    ]
