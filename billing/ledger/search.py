"""Searching transactions, newest first, in pages."""

from datetime import datetime

import asyncpg
import msgspec

from billing.database import Connection
from billing.ledger.transaction import Kind
from billing.statements import load

SQL = load(__package__, "queries.sql")

_amounts = msgspec.json.Decoder(dict[str, int]).decode


class FoundTransaction(msgspec.Struct, frozen=True):
    """A transaction, and what it did to balances, in micros by currency.

    Of one account's where that was searched for; else of the account that it is about, or for usage
    (`account` None) of all together. What moves within an account does 0.
    """

    transaction_id: int
    posted_at: datetime
    kind: Kind
    account: str | None
    description: str
    actor: str
    idempotency_key: str | None
    amounts_micros: dict[str, int]


async def search(
    conn: Connection,
    *,
    account: str | None = None,
    kind: Kind | None = None,
    actor: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    at_least_micros: int | None = None,
    text: str | None = None,
    key: str | None = None,
    before: int | None = None,
    limit: int = 100,
) -> list[FoundTransaction]:
    """Return the last `limit` transactions that fit, newest first; `before` is the last id known.

    `since` is included, `until` is not; `at_least_micros` is the size of what it did, either way;
    `text` is a part of the description. None filters nothing. Usage is found by its accounts, too.
    """
    filters = (kind, actor, since, until, at_least_micros, text, key)
    if account is None:
        rows = await conn.fetch(SQL["search"], before, *filters, limit)
    else:
        rows = await conn.fetch(SQL["search_account"], account, before, *filters, limit)
    return [_found(row) for row in rows]


def _found(row: asyncpg.Record) -> FoundTransaction:
    return FoundTransaction(
        transaction_id=row["transaction_id"],
        posted_at=row["posted_at"],
        kind=Kind(row["kind"]),
        account=row["account_id"],
        description=row["description"],
        actor=row["actor"],
        idempotency_key=row["idempotency_key"],
        amounts_micros={} if row["amounts"] is None else _amounts(row["amounts"]),
    )
