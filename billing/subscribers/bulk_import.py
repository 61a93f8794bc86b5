"""Taking many subscribers in from a file: all of them or none, with their accounts and top-ups."""

from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from typing import Final

import asyncpg
import msgspec

from balances.messages import AnyMovement, OpenAccount, Post, PutSubscriber
from billing.accounts.account import MAX_BALANCE_MICROS
from billing.database import Connection
from billing.errors import BillingError, Conflict
from billing.ledger import journal
from billing.ledger.transaction import topup
from billing.outbox.post import UNNUMBERED, post
from billing.sealing.keyring import Keyring
from billing.statements import load
from billing.subscribers.csv_file import Fault, Faults, Row, read_rows
from billing.subscribers.login import LoginTerms, encode_login, sealed_password

SQL = load(__package__, "queries.sql")

#: Told of each stage by name, with how much of it is done and of how much (0: not known).
Progress = Callable[[str, int, int], None]

_COLUMNS: Final = [
    *("line", "username", "account_id", "plan", "currency", "topup_micros", "password_sealed"),
    *("password_kind", "session_limit", "when_full", "calling_station", "nas", "framed_pool"),
    "framed_ip",
]

#: Rows that are written at a time, so that progress can be told.
_CHUNK: Final = 5000

#: A million rows take longer than any other statement of ours.
_TIMEOUT_SECONDS: Final = 600

_TOPUP: Final = "Top-up at import"


class ImportRefused(BillingError):
    """A file with faults: the first of them by line, and the `number` of all."""

    def __init__(self, faults: list[Fault], number: int) -> None:
        self.faults = tuple(faults)
        self.number = number
        more = number - len(faults)
        shown = [str(fault) for fault in faults] + ([f"and {more:,} more"] if more else [])
        head = "nothing was imported; " + ("1 fault" if number == 1 else f"{number:,} faults")
        super().__init__("\n".join([f"{head}:", *shown]))


class Imported(msgspec.Struct, frozen=True):
    """What an import did. `topup_micros` is the sum of the top-ups by currency."""

    subscribers: int
    accounts_created: int
    topups: int
    topup_micros: dict[str, int]


async def import_file(
    conn: Connection,
    keyring: Keyring,
    path: Path,
    *,
    actor: str,
    now: datetime,
    progress: Progress = lambda _stage, _done, _of: None,
) -> Imported:
    """Import the CSV file at `path`; see `import_csv`. Also raises OSError if it cannot be read."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return await import_csv(conn, keyring, file, actor=actor, now=now, progress=progress)
    except UnicodeDecodeError:
        faults = _undecodable(path)
        raise ImportRefused(faults.listed, faults.number) from None


def _undecodable(path: Path) -> Faults:
    """The lines of a file that are not UTF-8; what failed to decode the file knows none."""
    faults = Faults()
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                line.decode()
            except UnicodeDecodeError as error:
                faults.add(
                    number, "", f"is not UTF-8: {error.reason} at its octet {error.start + 1}"
                )
    return faults


async def import_csv(
    conn: Connection,
    keyring: Keyring,
    lines: Iterable[str],
    *,
    actor: str,
    now: datetime,
    progress: Progress = lambda _stage, _done, _of: None,
) -> Imported:
    """Add the subscribers of a CSV file, create missing accounts (prepaid), and top accounts up.

    All or nothing, in one transaction. The event loop waits while the file is read: 4 seconds for
    a million rows. Raises ImportRefused with every fault, or Conflict when something was added
    meanwhile that contradicts the file.
    """
    faults = Faults()
    rows = read_rows(lines, faults, lambda done: progress("reading", done, 0))
    try:
        async with conn.transaction():
            return await _import(conn, keyring, rows, faults, actor, now, progress)
    except asyncpg.UniqueViolationError as error:
        raise Conflict(f"somebody else added one of these just now: {error.detail}") from error


async def _import(
    conn: Connection,
    keyring: Keyring,
    rows: list[Row],
    faults: Faults,
    actor: str,
    now: datetime,
    progress: Progress,
) -> Imported:
    await conn.execute(f"SET LOCAL statement_timeout = '{_TIMEOUT_SECONDS}s'")
    terms = _terms(keyring, rows, progress)
    await _stage(conn, rows, terms, progress)
    progress("checking", 0, len(rows))
    await conn.execute(SQL["lock_accounts"], timeout=_TIMEOUT_SECONDS)
    found = await conn.fetch(
        SQL["faults_of_imported"], MAX_BALANCE_MICROS, timeout=_TIMEOUT_SECONDS
    )
    for line, column, message in found:
        faults.add(line, column, message)
    if faults.number:
        ordered = sorted(faults.listed, key=lambda fault: fault.line)
        raise ImportRefused(ordered, faults.number)
    progress("creating", 0, len(rows))
    created = await conn.fetch(SQL["create_accounts"], now, timeout=_TIMEOUT_SECONDS)
    await conn.execute(SQL["create_subscribers"], now, timeout=_TIMEOUT_SECONDS)
    await conn.execute(SQL["drop_imported"])
    sums = await _top_up(conn, rows, actor, now, progress)
    await _post(conn, rows, terms, {row["account_id"] for row in created}, now, progress)
    return Imported(
        subscribers=len(rows),
        accounts_created=len(created),
        topups=sum(row.topup_micros > 0 for row in rows),
        topup_micros=sums,
    )


def _terms(keyring: Keyring, rows: list[Row], progress: Progress) -> list[LoginTerms]:
    """What logins have to know of each row."""
    progress("sealing", 0, len(rows))
    terms: list[LoginTerms] = []
    for row in rows:
        terms.append(LoginTerms(row.kind, _sealed(keyring, row), row.bounds))
        if len(terms) % _CHUNK == 0:
            progress("sealing", len(terms), len(rows))
    return terms


async def _stage(
    conn: Connection, rows: list[Row], terms: list[LoginTerms], progress: Progress
) -> None:
    """Bring the rows into a temporary table, where they are checked and taken from as sets."""
    records = [
        (
            *(row.line, row.username, row.account, row.plan, row.currency, row.topup_micros),
            *(each.password_sealed, each.password_kind),
            *(each.bounds.session_limit, each.bounds.when_full, each.bounds.calling_station),
            *(each.bounds.nas, each.bounds.framed_pool, each.bounds.framed_ip),
        )
        for row, each in zip(rows, terms, strict=True)
    ]
    progress("checking", 0, len(rows))
    await conn.execute(SQL["create_imported"])
    await conn.copy_records_to_table(
        "imported", columns=_COLUMNS, records=records, timeout=_TIMEOUT_SECONDS
    )
    await conn.execute(SQL["analyze_imported"])


async def _top_up(
    conn: Connection, rows: list[Row], actor: str, now: datetime, progress: Progress
) -> dict[str, int]:
    """Write the top-ups to the ledger; return their sums by currency."""
    sums: dict[str, int] = {}
    for start in range(0, len(rows), _CHUNK):
        paid = [row for row in rows[start : start + _CHUNK] if row.topup_micros]
        await journal.write_many(
            conn,
            [
                topup(row.account, row.currency, row.topup_micros, actor=actor, description=_TOPUP)
                for row in paid
            ],
            now,
        )
        for row in paid:
            sums[row.currency] = sums.get(row.currency, 0) + row.topup_micros
        progress("topping up", min(start + _CHUNK, len(rows)), len(rows))
    return sums


async def _post(
    conn: Connection,
    rows: list[Row],
    terms: list[LoginTerms],
    created: set[str],
    now: datetime,
    progress: Progress,
) -> None:
    """Put everything on the road to the store: of each account first that it is open."""
    waiting = set(created)
    for start in range(0, len(rows), _CHUNK):
        movements: list[AnyMovement] = []
        for row, each in zip(
            rows[start : start + _CHUNK], terms[start : start + _CHUNK], strict=True
        ):
            if row.account in waiting:
                waiting.discard(row.account)
                movements.append(OpenAccount(row.account, UNNUMBERED, row.currency))
            if row.topup_micros:
                movements.append(Post(row.account, UNNUMBERED, row.topup_micros))
            movements.append(
                PutSubscriber(row.account, UNNUMBERED, row.username, row.plan, encode_login(each))
            )
        await post(conn, movements, now)
        progress("posting", min(start + _CHUNK, len(rows)), len(rows))


def _sealed(keyring: Keyring, row: Row) -> bytes | None:
    if row.password is None:
        return None
    return sealed_password(keyring, row.username, row.password.encode(), row.kind)
