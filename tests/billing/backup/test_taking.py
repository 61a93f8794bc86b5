"""A backup under traffic: what was acknowledged before it began is in it, at one moment."""

import asyncio
from pathlib import Path

import asyncpg
import pytest

from balances.errors import StoreError
from balances.messages import Position
from billing.backup import manifest as manifests
from billing.backup import taking
from billing.backup.manifest import BackupError, Manifest
from billing.backup.rows import read_rows
from billing.backup.taking import SQL, back_up
from billing.database import Connection, Pool
from billing.settlement.consumer import Settler
from migrations import runner
from tests.billing.settlement.making import EVENT
from tests.billing.settlement.worker import Worker, interim
from tests.billing.settlement.world import Books, Desk

RECORD_MICROS = 20


async def take(pool: Pool, books: Books, directory: Path) -> Manifest:
    """Back these tests' books up."""
    return await back_up(pool, books.streams, books.streams, directory, ratewire="0.1.0")


async def rows_of(directory: Path, table: str) -> list[list[str]]:
    """A table of a backup, column by column."""
    text = b"".join([rows async for rows in read_rows(directory / f"{table}.copy.gz")])
    return [line.split("\t") for line in text.decode().splitlines()]


@pytest.fixture
async def traffic(worker: Worker, desk: Desk) -> Worker:
    """An account, and a session that has reported three times."""
    await desk.open_account("a1", 10**7, users=["ann"])
    for n in (1, 2, 3):
        await report(worker, n)
    return worker


async def report(worker: Worker, n: int) -> None:
    """The n-th report of the session."""
    await worker.report(interim("s", "ann", EVENT + 60 * n, 10_000 * n, seconds=60 * n))


async def test_what_waits_in_the_stream_is_settled_first(
    pool: Pool, books: Books, traffic: Worker, conn: Connection, tmp_path: Path
) -> None:
    assert (await books.streams.books()).settled_lag == 3
    made = await take(pool, books, tmp_path / "b")
    assert (made.position, made.schema) == (Position(1, 3), runner.HEAD)
    assert manifests.read(tmp_path / "b") == made
    charges = [int(row[-2]) for row in await rows_of(tmp_path / "b", "usage_records")]
    assert sum(charges) == traffic.charged == 3 * RECORD_MICROS
    rows = {table.table: table.rows for table in made.tables}
    for table, expected in rows.items():
        assert await conn.fetchval(f'SELECT count(*) FROM "{table}"') == expected
    assert rows["customer_billing_accounts"] == 1


async def test_it_holds_one_moment(
    pool: Pool,
    books: Books,
    traffic: Worker,
    settler: Settler,
    desk: Desk,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Money, records and settlement go on between one table and the next: none of it is there."""
    copy = taking._copy_table  # pyright: ignore[reportPrivateUsage]
    n = 3

    async def copy_and_go_on(
        conn: Connection, directory: Path, table: asyncpg.Record
    ) -> manifests.TableFile:
        nonlocal n
        n += 1
        await report(traffic, n)
        await settler.settle_once(10)
        await desk.post("a1", 5)
        await desk.relay()
        return await copy(conn, directory, table)

    monkeypatch.setattr(taking, "_copy_table", copy_and_go_on)
    made = await take(pool, books, tmp_path / "b")
    assert made.position == Position(1, 3)
    assert n > 20
    assert len(await rows_of(tmp_path / "b", "usage_records")) == 3
    assert len(await rows_of(tmp_path / "b", "store_outbox")) == 0
    kinds = [row[2] for row in await rows_of(tmp_path / "b", "billing_transactions")]
    assert sorted(kinds) == ["topup", "usage"]
    postings = [int(row[-1]) for row in await rows_of(tmp_path / "b", "ledger_postings")]
    assert sum(postings) == 0


async def test_others_may_settle_meanwhile(
    pool: Pool, books: Books, traffic: Worker, settler: Settler, tmp_path: Path
) -> None:
    stop = asyncio.Event()
    running = asyncio.create_task(settler.run(stop))
    try:
        for number in range(3):
            await report(traffic, 4 + number)
            made = await take(pool, books, tmp_path / str(number))
            assert made.position >= Position(1, 4 + number)
    finally:
        stop.set()
        await running


async def test_tables_are_in_an_order_in_which_they_can_be_loaded(
    pool: Pool, books: Books, traffic: Worker, tmp_path: Path
) -> None:
    order = [table.table for table in (await take(pool, books, tmp_path / "b")).tables]
    assert order.index("customer_billing_accounts") < order.index("subscribers")
    assert order.index("customer_billing_accounts") < order.index("billing_transactions")
    assert "alembic_version" not in order


async def test_boot_marks_and_key_ids_are_taken_along(
    pool: Pool, books: Books, traffic: Worker, conn: Connection, tmp_path: Path
) -> None:
    await books.store.mark_boot("pop1/10.0.0.1", 1_800_000_000)
    for name, key in (("one", b"k1"), ("two", b"k1"), ("three", b"k2")):
        await conn.execute(
            "INSERT INTO nas_clients VALUES ($1, $2, $3, 'generic', NULL, NULL, now())",
            name,
            f"10.0.{len(name)}.{ord(name[0])}/32",
            b"\x01" + key.ljust(8, b".") + b"sealed",
        )
    made = await take(pool, books, tmp_path / "b")
    assert made.boots == {"pop1/10.0.0.1": 1_800_000_000}
    assert made.keys == [b"k1......".hex(), b"k2......".hex()]


async def test_keys_are_looked_for_in_all_that_is_sealed(conn: Connection) -> None:
    rows = await conn.fetch(
        "SELECT column_name, table_name FROM information_schema.columns"
        " WHERE table_schema = current_schema() AND column_name LIKE '%sealed'"
    )
    assert len(rows) >= 3
    for row in rows:
        assert f"SELECT {row['column_name']} FROM {row['table_name']}" in SQL["keys"]


async def test_books_that_cannot_be_settled_make_no_backup(
    pool: Pool, books: Books, traffic: Worker, tmp_path: Path
) -> None:
    await books.connection.command("XDEL", f"{books.connection.prefix}:settle", "1-2")
    with pytest.raises(BackupError, match=r"cannot be settled: .*1-3.*1-2"):
        await take(pool, books, tmp_path / "b")
    await books.streams.fence("the balances are being rebuilt")
    with pytest.raises(BackupError, match="the balances are being rebuilt"):
        await take(pool, books, tmp_path / "b")
    await books.clear()
    with pytest.raises(StoreError):
        await take(pool, books, tmp_path / "b")
    assert list(tmp_path.iterdir()) == []


async def test_a_migration_in_that_moment_is_noticed(
    pool: Pool, books: Books, traffic: Worker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was committed after the snapshot and before the tables were locked."""
    versions = iter([runner.HEAD, "9999"])

    async def schema_version(_: Connection) -> str:
        return next(versions)

    monkeypatch.setattr(taking, "schema_version", schema_version)
    with pytest.raises(BackupError, match="repeat the backup"):
        await take(pool, books, tmp_path / "b")
