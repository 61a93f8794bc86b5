"""Writing a batch of stream entries to Postgres, with its position, in one transaction."""

import io
from collections.abc import Iterable, Sequence
from datetime import datetime
from uuid import UUID

import asyncpg
import msgspec

from balances.entries import Closed
from balances.messages import Position, StreamEntry
from billing.database import Connection, refused, sqlstate
from billing.settlement import usage_rows
from billing.settlement.rows import (
    AccountKey,
    Item,
    Refusal,
    SessionEnd,
    SessionOpening,
    Settlement,
    items_of,
    settle,
)
from billing.statements import load

_SQL = load(__package__, "queries.sql")

#: What our own triggers raise: a fault of the program, not of an item.
_OUR_OWN = "23000"


class Booked(msgspec.Struct, frozen=True):
    """What became of a batch: its items, and how many of them were parked."""

    items: int
    parked: int


class _Strangers(Exception):
    """Charges to accounts that Postgres does not know."""

    def __init__(self, accounts: frozenset[AccountKey]) -> None:
        super().__init__(f"{len(accounts)} accounts are not known")
        self.accounts = accounts


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
                    lost = await self._write(settlement, items)
            except _Strangers as found:
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

    async def _write(self, settlement: Settlement, items: Sequence[Item]) -> list[Refusal]:
        """Write all of a settlement; return the items that name sessions which are not there."""
        await self._post(settlement, items)
        if settlement.usage:
            await self._conn.copy_to_table(
                "usage_records",
                source=io.BytesIO(settlement.usage.copy_data()),
                columns=usage_rows.COLUMNS,
                format="binary",
            )
        if settlement.opened:
            await self._conn.copy_records_to_table(
                "accounting_sessions", records=_opened_rows(settlement)
            )
        await self._note_anomalies(settlement)
        await self._note_unrated(settlement)
        await self._note_jobs(settlement)
        return await self._end_sessions(settlement)

    async def _post(self, settlement: Settlement, items: Sequence[Item]) -> None:
        charges = settlement.charges
        if not charges:
            return
        accounts = [account for account, _ in charges]
        currencies = [currency for _, currency in charges]
        first, last = items[0].position, items[-1].position
        tag = await self._conn.execute(
            _SQL["post_usage"],
            settlement.settled_at,
            self._partition,
            last.generation,
            first.sequence,
            last.sequence,
            accounts,
            currencies,
            list(charges.values()),
        )
        if int(tag.rpartition(" ")[2]) == len(charges) + len(set(currencies)):
            return
        found = await self._conn.fetch(_SQL["strangers"], accounts, currencies)
        raise _Strangers(frozenset((row["account_id"], row["currency"]) for row in found))

    async def _end_sessions(self, settlement: Settlement) -> list[Refusal]:
        ends = {uid: end for uid, end in settlement.ends.items() if uid not in settlement.opened}
        if not ends:
            return []
        figures = [_final_figures(end) for end in ends.values()]
        rows = await self._conn.fetch(
            _SQL["end_sessions"],
            list(ends),
            *(list(column) for column in zip(*figures, strict=True)),
        )
        there = {row["session_uid"] for row in rows}
        return [
            Refusal(end.item, f"no session {uid} was ever opened here")
            for uid, end in ends.items()
            if uid not in there
        ]

    async def _note_anomalies(self, settlement: Settlement) -> None:
        await self._notes(
            "note_anomalies",
            (
                (
                    uid,
                    code,
                    note.last.account,
                    note.first_at,
                    note.last_at,
                    note.records,
                    note.event_at,
                    note.last.counters.seconds,
                    note.last.counters.octets_in,
                    note.last.counters.octets_out,
                )
                for (uid, code), note in settlement.anomalies.items()
            ),
        )

    async def _note_unrated(self, settlement: Settlement) -> None:
        await self._notes(
            "note_unrated",
            (
                (
                    *key,
                    note.newest.reason,
                    note.newest.client,
                    note.first_at,
                    note.last_at,
                    note.records,
                    note.newest.kind,
                    note.event_at,
                    note.newest.counters.seconds,
                    note.newest.counters.octets_in,
                    note.newest.counters.octets_out,
                    bytes(note.newest.identity),
                )
                for key, note in settlement.unrated.items()
            ),
        )

    async def _notes(self, statement: str, rows: Iterable[tuple[object, ...]]) -> None:
        columns = [list(column) for column in zip(*rows, strict=True)]
        if columns:
            await self._conn.execute(_SQL[statement], *columns)

    async def _note_jobs(self, settlement: Settlement) -> None:
        if not settlement.jobs:
            return
        await self._conn.copy_records_to_table(
            "enforcement_events",
            columns=(
                "session_uid",
                "account_id",
                "session_key",
                "cause",
                "event",
                "at",
                "due_at",
                "attempts",
                "result",
                "error_cause",
            ),
            records=[
                (
                    note.uid,
                    note.event.account,
                    note.event.session,
                    note.event.cause,
                    note.event.event,
                    note.at,
                    note.due_at,
                    note.event.attempts,
                    note.event.result,
                    note.event.error_cause,
                )
                for note in settlement.jobs
            ],
        )


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


def _opened_rows(settlement: Settlement) -> list[tuple[object, ...]]:
    return [
        (*_opened_row(uid, opening), *_closed_row(settlement.ends.get(uid)))
        for uid, opening in settlement.opened.items()
    ]


def _opened_row(uid: UUID, opening: SessionOpening) -> tuple[object, ...]:
    entry = opening.entry
    return (
        uid,
        entry.session,
        entry.nas,
        entry.acct_session_id,
        entry.epoch,
        entry.username,
        entry.account,
        entry.plan,
        entry.plan_version,
        entry.currency,
        opening.started_at,
        opening.opened_at,
        entry.base.seconds,
        entry.base.octets_in,
        entry.base.octets_out,
        bytes(entry.identity),
    )


def _closed_row(end: SessionEnd | None) -> tuple[object, ...]:
    return (None,) * 8 if end is None else _final_figures(end)


def _final_figures(end: SessionEnd) -> tuple[object, ...]:
    """The columns from `closed_at` on; all NULL for a session that is open again."""
    entry = end.entry
    if not isinstance(entry, Closed):
        return (None,) * 8
    return (
        end.closed_at,
        entry.reason,
        entry.terminate_cause,
        end.last_event_at,
        entry.used.seconds,
        entry.used.octets_in,
        entry.used.octets_out,
        entry.total_micros,
    )
