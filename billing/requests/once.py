"""Doing a request once: its key is written in the transaction of what it does."""

from datetime import datetime, timedelta
from typing import Final

import msgspec

from billing.database import Connection
from billing.errors import Conflict
from billing.statements import load

SQL = load(__package__, "queries.sql")

#: A key is remembered for so long.
REMEMBERED: Final = timedelta(days=30)


class KeyReused(Conflict):
    """The key was used for another request."""


class Answered(msgspec.Struct, frozen=True):
    """What a request was answered with when it was done."""

    status: int
    body: bytes


async def begin(
    conn: Connection, token_hash: bytes, key: str, request_hash: bytes, now: datetime
) -> Answered | None:
    """Begin a request in the open transaction; return its answer if it was done before.

    One under way elsewhere is waited for. If what it does fails, the transaction takes the key back
    with all else. Raises KeyReused when the key was used for another request.
    """
    assert conn.is_in_transaction()
    await conn.execute(SQL["forget"], now - REMEMBERED)
    if await conn.fetchval(SQL["begin"], token_hash, key, request_hash, now):
        return None
    row = await conn.fetchrow(SQL["get"], token_hash, key)
    assert row is not None
    if row["request_hash"] != request_hash:
        raise KeyReused(f"the idempotency key {key!r} was used for another request")
    return Answered(row["status"], row["answer"])


async def end(conn: Connection, token_hash: bytes, key: str, answer: Answered) -> None:
    """Keep what a request is answered with."""
    await conn.execute(SQL["end"], token_hash, key, answer.status, answer.body)
