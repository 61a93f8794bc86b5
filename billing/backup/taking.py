"""backup: what the store has acknowledged is settled, then Postgres is copied at one moment.

Postgres is the truth of all that is settled, and the store's books can be written anew from it. So
a backup of Postgres that has settled everything up to where the store's books stood when the backup
began holds everything that was acknowledged until then, to one consistent point. Of what the store
alone knows it takes the boot marks along.
"""

import uuid
from datetime import datetime
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Final

import asyncpg
import msgspec
import structlog

from balances.port import BookKeeping, SettlementStream
from billing.backup import manifest as manifests
from billing.backup.manifest import BackupError, Manifest, TableFile
from billing.backup.rows import RowsFile
from billing.database import Connection, Pool, schema_version
from billing.settlement import position as positions
from billing.settlement.consumer import SettlementStopped, Settler
from billing.statements import load

SQL = load(__package__, "queries.sql")

_log = structlog.get_logger(__name__)

#: A table is copied in one statement; its connection is given up after this (seconds).
COPY_SECONDS: Final = 86_400.0

_SETTLE_ENTRIES: Final = 64


async def back_up(
    pool: Pool,
    books: BookKeeping,
    stream: SettlementStream,
    directory: Path,
    *,
    ratewire: str,
    partition: int = 0,
) -> Manifest:
    """Write a backup to a new `directory`, under traffic; return what it holds.

    What the stream still has from before is settled first, whoever else settles. `ratewire` is the
    version that makes it. Raises BackupError (there is no directory then), StoreError, or what
    asyncpg raises.
    """
    with manifests.new_directory(directory) as unfinished:
        before = await books.books()
        if before.fence is not None:
            raise BackupError(f"nothing is booked now, so there is no backup: {before.fence}")
        boots = await books.boots()
        async with pool.acquire() as conn:
            began_at: datetime = await conn.fetchval(SQL["moment"])
            settler = Settler(pool, stream, books, partition)
            while (await positions.begin(conn, books, partition)).position < before.position:
                await _settle(settler)
            async with conn.transaction(isolation="repeatable_read", readonly=True):
                await conn.execute(SQL["no_limit"])
                schema = await _keep_schema(pool, conn)
                settled = await positions.read(conn, partition)
                assert settled is not None, "it has settled"
                made = Manifest(
                    format=manifests.FORMAT,
                    backup=uuid.uuid4().hex,
                    ratewire=ratewire,
                    postgres=await conn.fetchval(SQL["server"]),
                    schema=schema,
                    began_at=began_at,
                    settled_at=settled.at,
                    position=settled.position,
                    tables=await _copy(conn, unfinished),
                    sequences={
                        row["name"]: row["last_value"] for row in await conn.fetch(SQL["sequences"])
                    },
                    months=[row["month"] for row in await conn.fetch(SQL["months"])],
                    boots=boots,
                    keys=[row["key"] for row in await conn.fetch(SQL["keys"])],
                )
        manifests.write(unfinished, made)
    _log.info("backed up", directory=str(directory), position=msgspec.to_builtins(made.position))
    return made


async def _settle(settler: Settler) -> None:
    """Settle some entries."""
    try:
        await settler.settle_once(_SETTLE_ENTRIES)
    except SettlementStopped as stopped:
        raise BackupError(
            f"what the store has acknowledged cannot be settled: {stopped}"
        ) from stopped


async def _keep_schema(pool: Pool, conn: Connection) -> str:
    """Keep the tables from being changed, and return the schema that the transaction sees."""
    schema = await schema_version(conn)
    await conn.execute(SQL["keep_schema"])
    # What changed between the transaction's moment and the locks would be read wrongly.
    async with pool.acquire() as other:
        if schema is None or await schema_version(other) != schema:
            raise BackupError("the database has just been migrated: repeat the backup")
    return schema


async def _copy(conn: Connection, directory: Path) -> list[TableFile]:
    """Copy all tables, those that others refer to first."""
    tables = {row["name"]: row for row in await conn.fetch(SQL["tables"])}
    order = TopologicalSorter[str](dict.fromkeys(tables, ()))
    for row in await conn.fetch(SQL["references"]):
        order.add(row["child"], row["parent"])
    return [await _copy_table(conn, directory, tables[name]) for name in order.static_order()]


async def _copy_table(conn: Connection, directory: Path, table: asyncpg.Record) -> TableFile:
    name: str = table["name"]
    planned = TableFile(name, list(table["columns"]), 0, 0, "")
    with RowsFile(directory / planned.file) as file:
        status: str = await conn.copy_from_query(
            table["reading"], output=file.write, timeout=COPY_SECONDS
        )
    return msgspec.structs.replace(
        planned, rows=int(status.split()[-1]), octets=file.octets, sha256=file.sha256
    )
