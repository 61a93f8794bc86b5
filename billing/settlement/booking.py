"""Writing a batch of stream entries to Postgres, with its position, in one transaction."""

from collections.abc import Sequence
from datetime import datetime

import asyncpg
import msgspec

from balances.messages import Position, StreamEntry
from billing.database import Connection, refused, sqlstate
from billing.settlement.rows import AccountKey, Item, Refusal, items_of, settle
from billing.settlement.writing import Strangers, write
from billing.statements import load

_SQL = load(__package__, "queries.sql")

#: What our own triggers raise: a fault of the program, not of an item.
_OUR_OWN = "23000"


class Booked(msgspec.Struct, frozen=True):
    """What became of a batch: its items, and how many of them were parked."""

    items: int
    parked: int


async def book(
    conn: Connection, partition: int, position: Position, entries: Sequence[StreamEntry]
) -> Booked | None:
    """Book the entries that follow `position`, and move the position to the last of them.

    None, and nothing is booked, if the position is another one in Postgres: some other settler has
    been here. Items that cannot be booked are parked with their octets; the others are booked.
    Raises what asyncpg raises, and then whether anything was committed is not known; nothing was
    if the position has not moved.
    """
    assert entries
    last = entries[-1].position
    async with conn.transaction():
        settled_at = await conn.fetchval(
            _SQL["advance"], partition, position.generation, position.sequence, last.sequence
        )
        if settled_at is None:
            return None
        batch = _Batch(conn, partition, settled_at)
        items = items_of(entries)
        await batch.book(items)
        return Booked(len(items), await batch.park())


async def park(
    conn: Connection, partition: int, parked_at: datetime, refusals: Sequence[Refusal]
) -> None:
    """Keep items that are not booked, octet for octet; those that are kept already stay so."""
    rows = [
        (
            refusal.item.position.generation,
            refusal.item.position.sequence,
            refusal.item.index,
            refusal.item.field,
            refusal.item.value,
            refusal.error.replace("\0", "\\x00"),
        )
        for refusal in refusals
    ]
    columns = (list(column) for column in zip(*rows, strict=True))
    await conn.execute(_SQL["park"], parked_at, partition, *columns)


class _Batch:
    """One transaction's work, with what it has to park."""

    def __init__(self, conn: Connection, partition: int, settled_at: datetime) -> None:
        self._conn = conn
        self._partition = partition
        self._settled_at = settled_at
        self._refusals: list[Refusal] = []

    async def book(self, items: Sequence[Item]) -> None:
        """Book the items; those that Postgres refuses are found by halving and noted."""
        strangers: frozenset[AccountKey] = frozenset()
        while True:
            settlement = settle(items, self._settled_at, strangers)
            try:
                async with self._conn.transaction():  # a savepoint
                    lost = await write(self._conn, self._partition, settlement, items)
            except Strangers as found:
                strangers |= found.accounts
            except (asyncpg.PostgresError, OverflowError) as error:
                if not _refuses_an_item(error):
                    raise
                await self._halve(items, error)
                return
            else:
                self._refusals += settlement.refusals
                self._refusals += lost
                return

    async def _halve(self, items: Sequence[Item], error: Exception) -> None:
        if len(items) == 1:
            self._refusals.append(Refusal(items[0], f"{type(error).__name__}: {error}"))
            return
        middle = len(items) // 2
        await self.book(items[:middle])
        await self.book(items[middle:])

    async def park(self) -> int:
        """Write down what was refused; return how many items that are."""
        if self._refusals:
            await park(self._conn, self._partition, self._settled_at, self._refusals)
        return len(self._refusals)


def _refuses_an_item(error: asyncpg.PostgresError | OverflowError) -> bool:
    """Whether an error is about the data of some item, rather than about the batch as a whole."""
    if isinstance(error, OverflowError):  # a number beyond its column, found before it was sent
        return True
    if not refused(error) or sqlstate(error) == _OUR_OWN:
        return False
    # A row for which there is no partition is a check violation, too, but of no constraint.
    missing_partition = (
        isinstance(error, asyncpg.CheckViolationError)
        and getattr(error, "constraint_name", None) is None
    )
    return not missing_partition
