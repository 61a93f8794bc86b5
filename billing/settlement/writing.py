"""Writing what a batch becomes, statement by statement, in the caller's transaction."""

from collections.abc import Iterable, Sequence
from uuid import UUID

from balances.entries import Closed
from balances.jobs import Action
from billing.database import Connection
from billing.settlement import usage_rows
from billing.settlement.rows import (
    AccountKey,
    Item,
    Refusal,
    SessionEnd,
    SessionOpening,
    Settlement,
)
from billing.statements import load

_SQL = load(__package__, "queries.sql")


class Strangers(Exception):
    """Charges to accounts that Postgres does not know."""

    def __init__(self, accounts: frozenset[AccountKey]) -> None:
        super().__init__(f"{len(accounts)} accounts are not known")
        self.accounts = accounts


async def write(
    conn: Connection, partition: int, settlement: Settlement, items: Sequence[Item]
) -> list[Refusal]:
    """Write all of a settlement of these items; return those that name sessions unknown here.

    Raises Strangers if charges are to accounts that are not known, or what asyncpg raises: then the
    caller rolls back.
    """
    await _post(conn, partition, settlement, items)
    if settlement.usage:
        await conn.copy_to_table(
            "usage_records",
            # A buffer, and no file: for a file asyncpg makes a class a call, which would keep the
            # data until the next look for reference cycles. (It takes plain bytes for a path.)
            source=memoryview(settlement.usage.copy_data()),  # pyright: ignore[reportArgumentType] -- any buffer will do
            columns=usage_rows.COLUMNS,
            format="binary",
        )
    if settlement.opened:
        await conn.copy_records_to_table("accounting_sessions", records=_opened_rows(settlement))
    await _notes(
        conn,
        "move_bases",
        (
            (uid, base.seconds, base.octets_in, base.octets_out)
            for uid, base in settlement.bases.items()
        ),
    )
    await _keep_ratings(conn, settlement)
    await _note_anomalies(conn, settlement)
    await _note_unrated(conn, settlement)
    await _note_jobs(conn, settlement)
    return await _end_sessions(conn, settlement)


async def _post(
    conn: Connection, partition: int, settlement: Settlement, items: Sequence[Item]
) -> None:
    charges = settlement.charges
    if not charges:
        return
    accounts = [account for account, _ in charges]
    currencies = [currency for _, currency in charges]
    first, last = items[0].position, items[-1].position
    tag = await conn.execute(
        _SQL["post_usage"],
        settlement.settled_at,
        partition,
        last.generation,
        first.sequence,
        last.sequence,
        accounts,
        currencies,
        list(charges.values()),
    )
    if int(tag.rpartition(" ")[2]) == len(charges) + len(set(currencies)):
        return
    found = await conn.fetch(_SQL["strangers"], accounts, currencies)
    raise Strangers(frozenset((row["account_id"], row["currency"]) for row in found))


async def _end_sessions(conn: Connection, settlement: Settlement) -> list[Refusal]:
    ends = {uid: end for uid, end in settlement.ends.items() if uid not in settlement.opened}
    if not ends:
        return []
    figures = [_final_figures(end) for end in ends.values()]
    rows = await conn.fetch(
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


async def _keep_ratings(conn: Connection, settlement: Settlement) -> None:
    """Keep what accounts share for rating, and the lines of charges that need them."""
    await _notes(conn, "keep_pools", settlement.pools.items())
    await _notes(conn, "note_allowances", settlement.notices)
    await _notes(conn, "keep_tallies", settlement.tallies.items())
    await _notes(
        conn,
        "keep_lines",
        (
            (uid, settlement.settled_at, sequence, lines)
            for (uid, sequence), lines in settlement.lines.items()
        ),
    )


async def _note_anomalies(conn: Connection, settlement: Settlement) -> None:
    await _notes(
        conn,
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


async def _note_unrated(conn: Connection, settlement: Settlement) -> None:
    await _notes(
        conn,
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


async def _notes(conn: Connection, statement: str, rows: Iterable[tuple[object, ...]]) -> None:
    columns = [list(column) for column in zip(*rows, strict=True)]
    if columns:
        await conn.execute(_SQL[statement], *columns)


async def _note_jobs(conn: Connection, settlement: Settlement) -> None:
    if not settlement.jobs:
        return
    await conn.copy_records_to_table(
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
            "action",
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
                note.event.action or Action.CUT,
            )
            for note in settlement.jobs
        ],
    )


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
