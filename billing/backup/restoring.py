"""restore: Postgres from a backup, in one transaction, then the store's books from Postgres.

It may be killed anywhere and run again. All of it happens behind the store's fence, which says how
far it came: until the transaction is committed nothing has changed, and from then on only the books
are left to be rebuilt.
"""

import contextlib
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Final

import msgspec
import structlog

from balances.errors import StoreEmpty
from balances.messages import Books
from balances.port import BookKeeping, Restoration, SettlementStream
from billing.backup.manifest import BackupError, Manifest, TableFile
from billing.backup.rows import read_rows
from billing.backup.taking import COPY_SECONDS
from billing.database import Connection, Pool, schema_version
from billing.rebuild.run import Rebuilt, rebuild
from billing.statements import load

SQL = load(__package__, "queries.sql")
_log = structlog.get_logger(__name__)

_AGAIN: Final = "if that was killed, run 'ratewire restore' again"


class Target(msgspec.Struct, frozen=True):
    """Where a backup is restored to: a migrated database, and the store beside it."""

    pool: Pool
    books: BookKeeping
    stream: SettlementStream
    restoration: Restoration
    partition: int = 0


class Restored(msgspec.Struct, frozen=True):
    """How many rows were loaded (0 if an earlier run had done that), and the books after it."""

    rows: int
    rebuilt: Rebuilt


async def restore(
    target: Target,
    directory: Path,
    manifest: Manifest,
    *,
    replace: bool,
    interval_seconds: int,
    quiet_seconds: int,
) -> Restored:
    """Restore a backup that was proven whole; nothing may serve meanwhile.

    Whatever database and store hold is replaced, but only if `replace`, or if an earlier restore of
    this backup did not come to its end. What the old store's stream has right after the backup's
    position is settled, not lost. `interval_seconds` and `quiet_seconds` are as for a rebuild.
    Raises BackupError (nothing was changed), RebuildRefused, StoreError, or what asyncpg raises;
    run it again then.
    """
    loading = f"backup {manifest.backup} is being restored; {_AGAIN}"
    loaded = f"backup {manifest.backup} is restored, its balances are being rebuilt; {_AGAIN}"
    rows = 0
    async with target.pool.acquire() as conn, _alone(conn):
        await _require_same_schema(conn, manifest)
        await _require_owner(conn)
        fence = await target.restoration.fenced()
        if fence != loaded:
            if not replace and fence != loading:
                await _require_empty(target, conn)
            rows = await _load(target, conn, directory, manifest, loading, fence)
        rebuilt = await rebuild(
            target.pool,
            target.books,
            target.stream,
            target.restoration,
            partition=target.partition,
            interval_seconds=interval_seconds,
            quiet_seconds=quiet_seconds,
            fence=loaded,
            within=loading,
        )
    return Restored(rows, rebuilt)


@contextlib.asynccontextmanager
async def _alone(conn: Connection) -> AsyncGenerator[None]:
    if not await conn.fetchval(SQL["try_lock"]):
        raise BackupError("another process is restoring a backup")
    try:
        yield
    finally:
        if not conn.is_closed():
            await conn.fetchval(SQL["unlock"])


async def _require_same_schema(conn: Connection, manifest: Manifest) -> None:
    schema = await schema_version(conn)
    if schema != manifest.schema:
        raise BackupError(
            f"the backup is of schema {manifest.schema} (ratewire {manifest.ratewire}), the"
            f" database has {schema}; allowed is the same: restore it with that version, and"
            " upgrade then"
        )
    there = {row["name"]: set(row["columns"]) for row in await conn.fetch(SQL["tables"])}
    if {table.table: set(table.columns) for table in manifest.tables} != there:
        raise BackupError("the backup has other tables than the database, or other columns")


async def _require_owner(conn: Connection) -> None:
    owner = await conn.fetchval(SQL["other_owner"])
    if owner is not None:
        raise BackupError(
            f"the database's tables belong to {owner}; allowed is to restore as a user who may do"
            " what their owner may: set database.url for this command"
        )


async def _require_empty(target: Target, conn: Connection) -> None:
    filled = [
        row["name"] for row in await conn.fetch(SQL["filled"]) if await conn.fetchval(row["holds"])
    ]
    if filled:
        raise BackupError(
            f"the database is not empty ({', '.join(filled)}); allowed is an empty one, or"
            " --replace, which drops what it holds"
        )
    books = await _books(target.books)
    if books is not None and (books.accounts or books.position.sequence):
        raise BackupError(
            f"the store holds books of {books.accounts} accounts; allowed is an empty store, or"
            " --replace, which drops them"
        )


async def _books(books: BookKeeping) -> Books | None:
    try:
        return await books.books()
    except StoreEmpty:
        return None


async def _load(
    target: Target,
    conn: Connection,
    directory: Path,
    manifest: Manifest,
    fence: str,
    before: str | None,
) -> int:
    """Replace what the database holds, behind the fence; return how many rows there are now."""
    await target.books.fence(fence)
    committing = False
    try:
        await target.restoration.restore_boots(manifest.boots)
        async with conn.transaction():
            await conn.execute(SQL["as_owner"])
            await conn.execute(SQL["no_limit"])
            await conn.execute(SQL["empty"])
            for month in manifest.months:
                await conn.execute(SQL["make_partitions"], month)
            await conn.execute(SQL["unguard_lines"])
            for table in manifest.tables:
                await _load_table(conn, directory, table)
            await conn.execute(SQL["guard_lines"])
            for name, value in manifest.sequences.items():
                await conn.execute(SQL["set_sequence"], name, value)
            committing = True
    except BaseException:
        # Whether a commit that failed was made is not known; then the fence stays.
        if not committing and before != fence:
            await target.books.fence(before or "")
        raise
    rows = sum(table.rows for table in manifest.tables)
    _log.info("the database is restored", backup=manifest.backup, rows=rows)
    return rows


async def _load_table(conn: Connection, directory: Path, table: TableFile) -> None:
    status: str = await conn.copy_to_table(
        table.table,
        source=read_rows(directory / table.file),
        columns=table.columns,
        timeout=COPY_SECONDS,
    )
    loaded = int(status.split()[-1])
    if loaded != table.rows:
        raise BackupError(f"{table.file} has {loaded} rows, the manifest says {table.rows}")
