"""Where settlement stands: the last stream entry of a partition that is in Postgres."""

from datetime import datetime

import asyncpg
import msgspec

from balances.messages import Position
from balances.port import BookKeeping
from billing.database import Connection
from billing.statements import load

_SQL = load(__package__, "queries.sql")

#: The generation of the first books of an installation.
FIRST_GENERATION = 1


class Settled(msgspec.Struct, frozen=True):
    """The last entry settled, and when."""

    position: Position
    at: datetime


async def read(conn: Connection, partition: int) -> Settled | None:
    """Return where a partition's settlement stands; None if it never began."""
    return _settled(await conn.fetchrow(_SQL["position"], partition))


async def hold(conn: Connection, partition: int) -> Settled | None:
    """Return where it stands, and keep it there until the transaction of `conn` ends."""
    return _settled(await conn.fetchrow(_SQL["hold"], partition))


async def begin(conn: Connection, books: BookKeeping, partition: int) -> Settled:
    """Return where a partition's settlement stands; the first time, begin its books in the store.

    Only the very first time: Postgres remembers that there were books, so a store that lost them is
    never taken for a new one. Raises StoreError.
    """
    settled = await read(conn, partition)
    if settled is None:
        there = await books.initialise(FIRST_GENERATION)
        await conn.execute(_SQL["begin"], partition, there.generation)
        settled = await read(conn, partition)
        assert settled is not None
    return settled


def _settled(row: asyncpg.Record | None) -> Settled | None:
    if row is None:
        return None
    return Settled(Position(row["generation"], row["sequence"]), row["settled_at"])
