"""Batches of vouchers. Codes are told once, to who has them made; only hashes are kept."""

from datetime import datetime
from typing import Final

import asyncpg
import msgspec

from billing.accounts.account import currency_code
from billing.database import Connection
from billing.errors import InvalidInput, NotFound
from billing.payments.payment import payable, text
from billing.statements import load
from billing.vouchers import code

SQL = load(__package__, "queries.sql")

MAX_VOUCHERS: Final = 100_000


class Batch(msgspec.Struct, frozen=True):
    """Vouchers of one amount (micros) that were made together. `expires_at` None: they do not."""

    batch_id: int
    currency: str
    amount_micros: int
    vouchers: int
    redeemed: int
    description: str
    expires_at: datetime | None
    withdrawn_at: datetime | None
    actor: str
    created_at: datetime


class NewBatch(msgspec.Struct, frozen=True):
    """A batch with its codes as they are printed, by serial from 1. They cannot be had again."""

    batch: Batch
    codes: tuple[str, ...]


async def create(
    conn: Connection,
    *,
    currency: str,
    amount_micros: int,
    vouchers: int,
    description: str = "",
    expires_at: datetime | None = None,
    actor: str,
    now: datetime,
) -> NewBatch:
    """Make a batch. Raises InvalidInput."""
    payable(amount_micros, currency_code(currency))
    if not 1 <= vouchers <= MAX_VOUCHERS:
        raise InvalidInput(f"{vouchers} vouchers: allowed are 1 to {MAX_VOUCHERS}")
    if expires_at is not None and expires_at <= now:
        raise InvalidInput(f"vouchers that expire at {expires_at.isoformat()}, which is past")
    text(description, "description")
    codes: set[str] = set()
    while len(codes) < vouchers:
        codes.add(code.generate())
    made = tuple(codes)
    async with conn.transaction():
        batch_id: int = await conn.fetchval(
            SQL["create_batch"],
            currency,
            amount_micros,
            vouchers,
            description,
            expires_at,
            actor,
            now,
        )
        await conn.copy_records_to_table(
            "vouchers",
            columns=["code_hash", "batch_id", "serial"],
            records=[(code.digest(each), batch_id, at) for at, each in enumerate(made, start=1)],
        )
        batch = await get(conn, batch_id)
    return NewBatch(batch, tuple(code.show(each) for each in made))


async def get(conn: Connection, batch_id: int) -> Batch:
    """Return a batch. Raises NotFound."""
    row = await conn.fetchrow(SQL["get_batch"], batch_id)
    if row is None:
        raise NotFound(f"voucher batch {batch_id} does not exist")
    return _batch(row)


async def list_(conn: Connection, *, before: int | None = None, limit: int = 100) -> list[Batch]:
    """Return the last batches, newest first; `before` is the last id already known."""
    return [_batch(row) for row in await conn.fetch(SQL["list_batches"], before, limit)]


async def withdraw(conn: Connection, batch_id: int, *, now: datetime) -> Batch:
    """Let nothing more of a batch be redeemed. The same again changes nothing. Raises NotFound."""
    await conn.execute(SQL["withdraw"], batch_id, now)
    return await get(conn, batch_id)


def _batch(row: asyncpg.Record) -> Batch:
    return Batch(
        batch_id=row["batch_id"],
        currency=row["currency"],
        amount_micros=row["amount_micros"],
        vouchers=row["vouchers"],
        redeemed=row["redeemed"],
        description=row["description"],
        expires_at=row["expires_at"],
        withdrawn_at=row["withdrawn_at"],
        actor=row["actor"],
        created_at=row["created_at"],
    )
