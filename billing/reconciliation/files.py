"""Bank files as they came: each is there once, whole or not at all."""

import asyncio
import hashlib
from datetime import datetime
from typing import Final

import asyncpg
import msgspec

from billing.database import Connection
from billing.errors import InvalidInput, NotFound
from billing.payments.payment import text
from billing.reconciliation.line import State
from billing.reconciliation.reading import read
from billing.reconciliation.statement import BankLine, Format, identities
from billing.reconciliation.table import CsvFormat
from billing.statements import load

SQL = load(__package__, "queries.sql")

#: A file of a bank; one of 50,000 lines in CAMT has about as much.
MAX_OCTETS: Final = 100_000_000

_OUTGOING: Final = "money that went out"
_PENDING: Final = "the bank has not booked it yet"

_states = msgspec.json.Decoder(dict[State, int]).decode


class BankFile(msgspec.Struct, frozen=True):
    """A file, with the number of its lines by state. `digest` is its SHA-256, in hex."""

    file_id: int
    format: Format
    name: str
    digest: str
    octets: int
    actor: str
    imported_at: datetime
    lines: dict[State, int]


class Imported(msgspec.Struct, frozen=True):
    """What importing a file did. `repeated`: it was there before, and nothing was done."""

    file: BankFile
    repeated: bool


async def import_(
    conn: Connection,
    content: bytes,
    name: str,
    *,
    written: CsvFormat | None = None,
    actor: str,
    now: datetime,
) -> Imported:
    """Keep a file and its lines; `written` says how it is written if it is CSV.

    A file whose content was imported before changes nothing, and a line that stands in another
    file already is a duplicate. Raises InvalidInput; Unreadable with every fault, and nothing of
    the file is kept.
    """
    if not text(name, "name").strip():
        raise InvalidInput("a bank file needs a name")
    if not 0 < len(content) <= MAX_OCTETS:
        raise InvalidInput(f"{name} has {len(content)} octets: allowed are 1 to {MAX_OCTETS}")
    digest = hashlib.sha256(content).digest()
    before: int | None = await conn.fetchval(SQL["file_by_digest"], digest)
    if before is not None:
        return Imported(await get(conn, before), repeated=True)
    # In a thread, since others are served meanwhile.
    form, lines = await asyncio.to_thread(read, content, name, written)
    async with conn.transaction():
        await conn.execute(SQL["one_import"])
        file_id: int | None = await conn.fetchval(
            SQL["add_file"], digest, form, name, content, actor, now
        )
        if file_id is None:
            before = await conn.fetchval(SQL["file_by_digest"], digest)
            assert before is not None
            return Imported(await get(conn, before), repeated=True)
        await _add_lines(conn, file_id, lines)
        return Imported(await get(conn, file_id), repeated=False)


async def get(conn: Connection, file_id: int) -> BankFile:
    """Return a file. Raises NotFound."""
    row = await conn.fetchrow(SQL["files"], None, 1, file_id)
    if row is None:
        raise NotFound(f"bank file {file_id} does not exist")
    return _file(row)


async def content_of(conn: Connection, file_id: int) -> tuple[str, bytes]:
    """Return the name of a file and all of it, as it came. Raises NotFound."""
    row = await conn.fetchrow(SQL["content"], file_id)
    if row is None:
        raise NotFound(f"bank file {file_id} does not exist")
    return row["name"], row["content"]


async def list_(conn: Connection, *, before: int | None = None, limit: int = 100) -> list[BankFile]:
    """Return the last files, newest first; `before` is the last id already known."""
    return [_file(row) for row in await conn.fetch(SQL["files"], before, limit, None)]


async def _add_lines(conn: Connection, file_id: int, lines: list[BankLine]) -> None:
    decisions = [_first_state(line) for line in lines]
    await conn.execute(
        SQL["add_lines"],
        file_id,
        [line.place for line in lines],
        identities(lines),
        [line.booked_on for line in lines],
        [line.amount_micros for line in lines],
        [line.currency for line in lines],
        [line.payer for line in lines],
        [line.payer_account for line in lines],
        [line.reference for line in lines],
        [line.text for line in lines],
        [state for state, _ in decisions],
        [reason for _, reason in decisions],
    )


def _first_state(line: BankLine) -> tuple[State, str]:
    if not line.booked:
        return State.PENDING, _PENDING
    return (State.NEW, "") if line.amount_micros > 0 else (State.IGNORED, _OUTGOING)


def _file(row: asyncpg.Record) -> BankFile:
    return BankFile(
        file_id=row["file_id"],
        format=Format(row["format"]),
        name=row["name"],
        digest=row["digest"].hex(),
        octets=row["octets"],
        actor=row["actor"],
        imported_at=row["imported_at"],
        lines=_states(row["by_state"]),
    )
