"""Restoring on a real database and a real store, ended at every step, and what is refused."""

import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
import pytest

from balances.messages import Lookup, Position, decode_state
from billing.backup import restoring
from billing.backup.manifest import BackupError, Manifest
from billing.backup.restoring import Restored, Target, restore
from billing.backup.taking import back_up
from billing.database import Connection, Pool, connect
from billing.reconcile.run import reconcile
from billing.settlement.consumer import Settler
from migrations.runner import HEAD
from tests.billing.settlement.conservation import sums
from tests.billing.settlement.making import EVENT
from tests.billing.settlement.worker import Worker, interim, stop
from tests.billing.settlement.world import Books, Desk, metered

NAS = "pop1/10.0.0.1"
PRICE = 20
PAID_IN = 10**7


class Saved(msgspec.Struct, frozen=True):
    """A backup."""

    directory: Path
    manifest: Manifest


@pytest.fixture
async def saved(
    pool: Pool, books: Books, worker: Worker, settler: Settler, desk: Desk, tmp_path: Path
) -> Saved:
    """Made with one session open and one closed, a mark, and money on the road to the store."""
    await desk.open_account("a1", PAID_IN, users=["ann", "ben"])
    await report(worker, 1)
    await worker.report(interim("t", "ben", EVENT, 10_000, seconds=60))
    await worker.report(stop("t", "ben", EVENT + 60, 20_000, seconds=120))
    await report(worker, 2)
    await books.store.mark_boot("pop9", 1_800_000_000)
    await desk.post("a1", 500)
    directory = tmp_path / "backup"
    return Saved(
        directory,
        await back_up(pool, books.streams, books.streams, directory, ratewire="0.1.0"),
    )


@pytest.fixture
async def other(other_url: str) -> AsyncIterator[Pool]:
    """A pool of the empty database."""
    async with await connect(other_url, size=4) as opened:
        yield opened


async def report(worker: Worker, n: int) -> None:
    """The n-th report of ann's session."""
    await worker.report(interim("s", "ann", EVENT + 60 * n, 10_000 * n, seconds=60 * n))


def target(pool: Pool, books: Books, ports: Any = None) -> Target:
    """Where these tests restore to (through `ports`, if given)."""
    return Target(pool, ports or books.streams, ports or books.streams, ports or books.restoration)


async def restore_to(where: Target, saved: Saved, *, replace: bool = False) -> Restored:
    """Restore the backup of these tests."""
    return await restore(
        where,
        saved.directory,
        saved.manifest,
        replace=replace,
        interval_seconds=300,
        quiet_seconds=900,
    )


async def everything(pool: Pool) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of all tables but those that the rebuild goes on with."""
    async with pool.acquire() as conn:
        tables = await conn.fetch(
            "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace"
            " AND relkind IN ('r', 'p') AND NOT relispartition"
        )
        names = {row[0] for row in tables} - {"settlement_positions", "store_outbox"}
        return {
            name: sorted((tuple(row) for row in await conn.fetch(f"SELECT * FROM {name}")), key=str)
            for name in names
        }


async def test_everything_is_as_it_was(
    pool: Pool, books: Books, other: Pool, saved: Saved, worker: Worker
) -> None:
    """In another database and an empty store; what came after the backup is not there."""
    before = await everything(pool)
    await report(worker, 3)
    await books.clear()

    restored = await restore_to(target(other, books), saved)

    assert restored.rows == sum(table.rows for table in saved.manifest.tables)
    assert await everything(other) == before
    rebuilt = restored.rebuilt
    assert (rebuilt.generation, rebuilt.accounts, rebuilt.subscribers, rebuilt.sessions) == (
        *(2, 1, 2, 1),
    )
    assert rebuilt.lost is not None
    assert "the store held no books" in rebuilt.lost
    [audit] = await books.streams.inspect(["a1"])
    assert audit is not None
    assert audit.account.balance == PAID_IN + 500 - 4 * PRICE
    assert await books.streams.boots() == {"pop9": 1_800_000_000}
    assert (await books.streams.books()).fence is None
    assert (await reconcile(other, books.streams, books.streams)).exact


async def test_work_goes_on_from_there(books: Books, other: Pool, saved: Saved) -> None:
    """The next report, being cumulative, charges what is missing; ids go on; no guard is off."""
    await books.clear()
    await restore_to(target(other, books), saved)
    await report(Worker(books, [metered("EUR")]), 9)
    settler = Settler(other, books.streams, books.streams)
    while await settler.settle_once(10):
        pass
    found = await books.store.read([Lookup(f"{NAS}|s", NAS)])
    session = found.found[0].session
    assert session is not None
    assert decode_state(session.state).meter.total_micros == 9 * PRICE
    async with other.acquire() as conn:
        assert (await sums(conn)).recorded == (9 + 2) * PRICE
        await conn.execute("SET ROLE NONE")
        for statement in ("DELETE FROM ledger_postings", "TRUNCATE usage_records", UNBALANCED):
            with pytest.raises(asyncpg.IntegrityConstraintViolationError):
                await conn.execute(statement)
    assert (await reconcile(other, books.streams, books.streams)).exact


UNBALANCED = "INSERT INTO ledger_postings VALUES (1, '2026-03-14', 10, NULL, 'EUR', 5)"


async def test_old_months_are_made_again(
    books: Books, desk: Desk, conn: Connection, pool: Pool, other: Pool, tmp_path: Path
) -> None:
    """Partitions that a new database does not have, with rows in them."""
    await desk.open_account("a1", PAID_IN)
    await conn.execute("SELECT ensure_partitions('2019-02-03', 0)")
    await conn.execute(
        "WITH made AS (INSERT INTO billing_transactions (posted_at, kind, account_id, description,"
        " actor) VALUES ('2019-02-03', 'topup', 'a1', '', '') RETURNING transaction_id, posted_at)"
        " INSERT INTO ledger_postings SELECT transaction_id, posted_at, ledger, account, 'EUR', sum"
        " FROM made, (VALUES (10, NULL, 5), (20, 'a1', -5)) AS rows (ledger, account, sum)"
    )
    directory = tmp_path / "backup"
    made = await back_up(pool, books.streams, books.streams, directory, ratewire="0.1.0")
    await books.clear()
    await restore_to(target(other, books), Saved(directory, made))
    async with other.acquire() as restored:
        await restored.execute("SET ROLE NONE")
        assert await restored.fetchval("SELECT count(*) FROM ledger_postings_2019_02") == 2
    [audit] = await books.streams.inspect(["a1"])
    assert audit is not None
    assert audit.account.balance == PAID_IN + 5


async def test_what_the_store_still_has_is_not_lost(
    books: Books, other: Pool, saved: Saved, worker: Worker
) -> None:
    """Only Postgres was lost: the stream goes on right after the backup, and is settled."""
    await report(worker, 3)
    with pytest.raises(BackupError, match=r"the store holds books of 1 accounts; .* --replace"):
        await restore_to(target(other, books), saved)
    restored = await restore_to(target(other, books), saved, replace=True)
    assert (restored.rebuilt.settled_entries, restored.rebuilt.lost) == (1, None)
    async with other.acquire() as conn:
        assert (await sums(conn)).recorded == (3 + 2) * PRICE
    assert (await reconcile(other, books.streams, books.streams)).exact


async def test_a_database_that_is_not_empty_is_replaced_if_that_is_wanted(
    pool: Pool, books: Books, desk: Desk, saved: Saved, worker: Worker, settler: Settler
) -> None:
    """Back to the backup, in place: what came later is gone."""
    before = await everything(pool)
    await report(worker, 3)
    await desk.open_account("later", 5)
    while await settler.settle_once(10):
        pass
    later = await everything(pool)
    with pytest.raises(BackupError, match=r"not empty .*customer_billing_accounts.*--replace"):
        await restore_to(target(pool, books), saved)
    assert await everything(pool) == later
    restored = await restore_to(target(pool, books), saved, replace=True)
    assert await everything(pool) == before
    assert (restored.rebuilt.generation, restored.rebuilt.accounts) == (2, 1)
    assert await books.streams.inspect(["later"]) == [None]
    assert (await reconcile(pool, books.streams, books.streams)).exact
    await report(Worker(books, [metered("EUR")]), 4)
    while await settler.settle_once(10):
        pass
    assert (await reconcile(pool, books.streams, books.streams)).exact


class Ended(Exception):
    """The process ends here."""


class Ending:
    """All ports of the store; from the n-th call on nothing goes through, or just its answer."""

    def __init__(self, books: Books, at: int, *, after: bool) -> None:
        self._ports = (books.streams, books.restoration)
        self._at, self._after = at, after
        self.calls: list[str] = []

    def __getattr__(self, name: str) -> Callable[..., Any]:
        port = next(port for port in self._ports if hasattr(port, name))

        async def call(*args: Any, **kwargs: Any) -> Any:
            self.calls.append(name)
            ends = len(self.calls) == self._at
            if len(self.calls) > self._at or (ends and not self._after):
                raise Ended
            answer = await getattr(port, name)(*args, **kwargs)
            if ends:
                raise Ended
            return answer

        return call


async def copied(books: Books) -> dict[bytes, bytes]:
    """All keys of the store, as they are."""
    command = books.connection.command
    return {key: await command("DUMP", key) for key in await command("KEYS", "*")}


async def put_back(books: Books, keys: dict[bytes, bytes]) -> None:
    """Make the store what it was."""
    await books.clear()
    for key, value in keys.items():
        await books.connection.command("RESTORE", key, 0, value)


@pytest.mark.parametrize(
    ("intact", "after"),
    [(False, False), (True, True)],
    ids=["an empty store, before a step", "an intact store, after it"],
)
async def test_ended_at_every_step(
    books: Books, other: Pool, saved: Saved, worker: Worker, intact: bool, after: bool
) -> None:
    """Run again it comes to the same end, without being told to replace what it has written.

    What the old store had after the backup is in the ledger, wherever the first run ended.
    """
    await report(worker, 3)
    old = await copied(books) if intact else {}
    where = target(other, books)
    seen: set[str] = set()
    for at in range(1, 100):
        await put_back(books, old)
        ports = Ending(books, at, after=after)
        try:
            await restore_to(target(other, books, ports), saved, replace=True)
        except Ended:
            seen.add(ports.calls[at - 1])
        else:
            break
        begun = await books.restoration.fenced() is not None
        if not begun and "restart" in ports.calls:
            # It had come to its end, only nobody was told: to repeat it would drop what is there.
            with pytest.raises(BackupError, match="not empty"):
                await restore_to(where, saved)
        else:
            await restore_to(where, saved, replace=not begun)
        async with other.acquire() as conn:
            assert (await sums(conn)).recorded == (4 + intact) * PRICE
        found = await reconcile(other, books.streams, books.streams)
        assert found.exact, found
        assert await books.restoration.fenced() is None
    else:
        raise AssertionError("it never came to its end")
    assert seen >= {"fenced", "fence", "books", "restore_boots", "restart", "restore_sessions"}


async def test_what_is_damaged_after_all_changes_nothing(
    pool: Pool, books: Books, saved: Saved, settler: Settler
) -> None:
    """A row less than the manifest says: the transaction is taken back, and the fence lifted."""
    before = await everything(pool)
    tables = [
        msgspec.structs.replace(table, rows=table.rows + (table.table == "usage_records"))
        for table in saved.manifest.tables
    ]
    wrong = Saved(saved.directory, msgspec.structs.replace(saved.manifest, tables=tables))
    with pytest.raises(BackupError, match=r"usage_records.copy.gz has 4 rows, .* says 5"):
        await restore_to(target(pool, books), wrong, replace=True)
    assert await everything(pool) == before
    assert await books.restoration.fenced() is None
    assert (await reconcile(pool, books.streams, books.streams)).exact


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"schema": "0002"}, f"of schema 0002 (ratewire 0.1.0), the database has {HEAD}"),
        ({"tables": []}, "other tables"),
    ],
)
async def test_a_backup_of_another_schema_is_refused(
    pool: Pool, books: Books, saved: Saved, change: dict[str, Any], told: str
) -> None:
    before = await everything(pool)
    changed = msgspec.structs.replace(saved.manifest, **change)
    with pytest.raises(BackupError, match=re.escape(told)):
        await restore_to(target(pool, books), Saved(saved.directory, changed), replace=True)
    assert await everything(pool) == before
    assert (await books.streams.books()).position == Position(1, 4)


async def test_one_at_a_time(books: Books, other: Pool, saved: Saved) -> None:
    async with other.acquire() as conn:
        await conn.fetchval(restoring.SQL["try_lock"])
        with pytest.raises(BackupError, match="another process"):
            await restore_to(target(other, books), saved, replace=True)
        await conn.fetchval(restoring.SQL["unlock"])
