"""Rebuilding on a real store and a real database, killed at every step, with NASes reporting."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import msgspec
import pytest

from balances.errors import StoreEmpty, StoreError, StoreFenced, StoreUnavailable
from balances.messages import (
    Account,
    AccountAudit,
    Lookup,
    Position,
    StoredSession,
    StreamEntry,
    decode_state,
    encode_state,
)
from billing import database
from billing.database import Connection, Pool
from billing.rebuild import restored
from billing.rebuild.run import FENCE, RebuildRefused, Rebuilt, rebuild
from billing.reconcile.run import Reconciliation, reconcile
from billing.sessions import archive
from billing.settlement import consumer
from billing.settlement.consumer import Condition, Settler
from rating.charge import running_total
from rating.quantity import Counters
from rating.usage import Kind, Report
from tests.billing.settlement.conservation import sums
from tests.billing.settlement.making import EVENT
from tests.billing.settlement.worker import SessionReport, Unanswered, Worker, interim, stop
from tests.billing.settlement.world import Books, Desk, metered

NAS = "pop1/10.0.0.1"
USERS = ("ann", "ben", "cem", "dan")
LOST_TAIL = 3  # reports that are committed and not settled when the store is lost


@pytest.fixture(autouse=True)
async def accounts(desk: Desk) -> None:
    """Two accounts with money, one without, and their users."""
    await desk.open_account("a1", 10**7, users=USERS[:2])
    await desk.open_account("a2", 10**7, postpaid=True, users=USERS[2:])
    await desk.open_account("a3")


async def feed(worker: Worker, first: int, last: int) -> None:
    """Reports `first` to `last` of every user; each costs 20 micros."""
    for n in range(first, last + 1):
        await worker.report(
            *(interim(f"s-{u}", u, EVENT + 60 * n, 10_000 * n, seconds=60 * n) for u in USERS)
        )


async def settle_all(settler: Settler) -> None:
    """Settle what is in the stream."""
    while await settler.settle_once(100):
        pass


async def rebuild_now(pool: Pool, books: Books, ports: Any = None) -> Rebuilt:
    """Rebuild the books of these tests (through `ports`, if given)."""
    return await rebuild(
        pool,
        ports or books.streams,
        ports or books.streams,
        ports or books.restoration,
        interval_seconds=300,
        quiet_seconds=900,
    )


async def compare(pool: Pool, books: Books) -> Reconciliation:
    """Reconcile the books of these tests."""
    return await reconcile(pool, books.streams, books.streams)


async def stored(books: Books, user: str) -> StoredSession | None:
    """The session of a user, from the store."""
    snapshot = await books.store.read([Lookup(f"{NAS}|s-{user}", NAS)])
    return snapshot.found[0].session


async def inspect(books: Books, *accounts: str) -> list[AccountAudit]:
    """Accounts of the store, which are there."""
    found = await books.streams.inspect(accounts)
    return [audit for audit in found if audit is not None]


async def test_an_intact_store(
    pool: Pool, books: Books, worker: Worker, settler: Settler, desk: Desk, conn: Connection
) -> None:
    """Its stream is settled first, so nothing is lost; it is then what it was, of generation 2."""
    await feed(worker, 1, 2)
    await settler.settle_once(1)
    await desk.post("a1", 500)  # on the road
    before = {audit.account.account: audit.account for audit in await inspect(books, "a1", "a2")}

    rebuilt = await rebuild_now(pool, books)

    assert rebuilt == Rebuilt(
        generation=2,
        accounts=3,
        subscribers=4,
        sessions=4,
        settled_entries=1,
        parked_items=0,
        lost=None,
    )
    there = await books.streams.books()
    assert (there.position, there.fence, there.open_sessions) == (Position(2, 0), None, 4)
    for audit in await inspect(books, "a1", "a2"):
        old = before[audit.account.account]
        topped_up = 500 if old.account == "a1" else 0
        assert audit.account.balance == old.balance + topped_up
        assert (audit.account.reserved, audit.held, audit.sessions) == (0, 0, 2)
        assert audit.account.credit_limit == old.credit_limit
    compared = await compare(pool, books)
    assert compared.exact, compared
    assert (compared.unapplied_movements, compared.totals_drift_micros) == (0, 0)
    assert await conn.fetchval("SELECT count(*) FROM store_outbox") == 0


async def test_what_a_nas_sends_again_of_a_closed_session_is_known(
    pool: Pool, books: Books, worker: Worker, settler: Settler, desk: Desk
) -> None:
    """Its Start and its Stop were acknowledged, but the answers were lost with the store."""
    records = (
        SessionReport("again", "ann", Report(Kind.START, EVENT - 60)),
        stop("again", "ann", EVENT, 1_000_000, seconds=60),
    )
    for each in records:
        await worker.report(each)
    rebuilt = await rebuild_now(pool, books)
    assert rebuilt.sessions == 0
    [before] = await inspect(books, "a1")
    for each in records:
        await worker.report(each)
    [after] = await inspect(books, "a1")
    assert after.account.balance == before.account.balance
    assert (await books.streams.books()).open_sessions == 0
    assert (await compare(pool, books)).exact


async def test_sessions_go_on_where_they_were(
    pool: Pool, books: Books, worker: Worker, settler: Settler, conn: Connection
) -> None:
    """Their meters are as charged; they wait for a grant, and a stale step changes nothing."""
    await feed(worker, 1, 3)
    old = {user: await stored(books, user) for user in USERS}
    await rebuild_now(pool, books)
    due = await books.housekeeping.due(100, 1000)
    assert {session.session for session in due.sessions} == {f"{NAS}|s-{u}" for u in USERS}
    for user in USERS:
        was, now = old[user], await stored(books, user)
        assert was is not None
        assert now is not None
        assert (now.uid, now.account, now.open, now.regrant, now.held) == (
            was.uid,
            was.account,
            True,
            True,
            0,
        )
        assert now.version > was.version
        # Of the reports that came last Postgres knows one.
        meter = decode_state(was.state).meter
        known = msgspec.structs.replace(meter, prints=meter.prints[-4:])
        assert decode_state(now.state).meter == known
    await feed(worker, 4, 5)
    await settle_all(settler)
    assert (await sums(conn)).recorded == worker.charged == 4 * 5 * 20
    assert (await compare(pool, books)).exact


async def test_a_wholly_lost_store(
    pool: Pool, books: Books, worker: Worker, settler: Settler, conn: Connection
) -> None:
    """Cumulative counters bring back what was not settled: it is charged, exactly once.

    One session was opened after the last settlement: the next report opens it again. One was
    closed then, and never reports again: that much is lost, and is told.
    """
    await feed(worker, 1, 3)
    await settle_all(settler)
    await feed(worker, 4, 3 + LOST_TAIL)
    await worker.report(interim("late", "ann", EVENT, 50_000, seconds=60))
    await worker.report(stop("s-dan", "dan", EVENT + 600, 100_000, seconds=600))
    await books.clear()
    with pytest.raises(StoreEmpty):
        await feed(worker, 7, 7)

    rebuilt = await rebuild_now(pool, books)

    assert rebuilt.lost is not None
    assert "no books" in rebuilt.lost
    assert "1-3" in rebuilt.lost
    assert (rebuilt.generation, rebuilt.sessions) == (2, 4)
    assert (await compare(pool, books)).exact
    still = USERS[:3]
    await worker.report(
        *(interim(f"s-{u}", u, EVENT + 720, 200_000, seconds=720) for u in still),
        interim("late", "ann", EVENT + 60, 80_000, seconds=120),
    )
    await worker.report(*(stop(f"s-{u}", u, EVENT + 780, 210_000, seconds=780) for u in still))
    await settle_all(settler)
    totals = await conn.fetch(
        "SELECT acct_session_id, sum(usage_records.charged_micros)::bigint FROM usage_records"
        " JOIN accounting_sessions USING (session_uid) GROUP BY 1 ORDER BY 1"
    )
    price = {octets: running_total(metered().tariff, Counters(0, octets, 0)) for octets in
             (30_000, 80_000, 210_000)}  # fmt: skip
    assert {row[0]: row[1] for row in totals} == {
        "late": price[80_000],
        "s-ann": price[210_000],
        "s-ben": price[210_000],
        "s-cem": price[210_000],
        "s-dan": price[30_000],  # as far as it was settled
    }
    assert (await compare(pool, books)).exact


async def test_reports_of_sessions_that_only_the_archive_knows(
    pool: Pool, books: Books, worker: Worker, settler: Settler, conn: Connection
) -> None:
    """One closed long ago is not restored; its late report is charged from where it ended."""
    await feed(worker, 1, 2)
    await worker.report(stop("s-ann", "ann", EVENT + 180, 30_000, seconds=180))
    await settle_all(settler)
    await conn.execute(
        "UPDATE accounting_sessions SET closed_at = now() - interval '8 days'"
        " WHERE closed_at IS NOT NULL"
    )
    await books.clear()
    assert (await rebuild_now(pool, books)).sessions == 3
    assert await stored(books, "ann") is None

    async def find(keys: Sequence[str]) -> Mapping[str, StoredSession]:
        async with pool.acquire() as conn:
            return {
                key: StoredSession(
                    s.uid, s.account, 0, s.open, False, False, 0, 0, 0, encode_state(s.state)
                )
                for key, s in (await archive.find(conn, keys)).items()
            }

    late = Worker(books, [metered()], archive=find)
    await late.report(stop("s-ann", "ann", EVENT + 240, 45_000, seconds=240))
    await settle_all(settler)
    charged = "SELECT charged_micros FROM accounting_sessions WHERE username = 'ann'"
    assert await conn.fetchval(charged) == 90
    assert late.charged == 30
    assert (await compare(pool, books)).exact


class Crash(Exception):
    """The process ends here."""


class Crashing:
    """All ports of the store; the n-th call ends the process, before it or right after it."""

    def __init__(self, books: Books, at: int, *, after: bool) -> None:
        self._ports = (books.streams, books.restoration)
        self._at, self._after = at, after
        self.calls: list[str] = []

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        port = next(port for port in self._ports if hasattr(port, name))

        async def call(*args: Any, **kwargs: Any) -> Any:
            self.calls.append(name)
            if len(self.calls) > self._at:
                raise Crash  # and it stays dead
            if len(self.calls) == self._at and not self._after:
                raise Crash
            answer = await getattr(port, name)(*args, **kwargs)
            if len(self.calls) == self._at:
                raise Crash
            return answer

        return call


@pytest.mark.parametrize("lost", [False, True], ids=["intact", "lost"])
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_killed_at_every_step(
    pool: Pool,
    books: Books,
    worker: Worker,
    settler: Settler,
    desk: Desk,
    conn: Connection,
    lost: bool,
    after: bool,
) -> None:
    """Wherever it ends: run again, and the books are right; the sessions go on."""
    reports = 0
    seen: set[str] = set()
    for at in range(1, 100):
        reports += 1
        await feed(worker, reports, reports)
        await settler.settle_once(1)
        reports += 1
        await feed(worker, reports, reports)
        await desk.post("a1", 100)
        if lost:
            await books.clear()
        ports: Any = Crashing(books, at, after=after)
        try:
            await rebuild_now(pool, books, ports)
        except Crash:
            seen.add(ports.calls[at - 1])
        else:
            assert at > 8
            break
        rebuilt = await rebuild_now(pool, books)
        assert rebuilt.sessions == 4
        compared = await compare(pool, books)
        assert compared.exact, compared
        assert compared.totals_drift_micros == 0
    else:
        raise AssertionError("it never came to its end")
    assert seen >= {
        "books",
        "fence",
        "restart",
        "restore_accounts",
        "restore_subscribers",
        "restore_sessions",
    }
    reports += 1
    await feed(worker, reports, reports)
    await settle_all(settler)
    assert (await sums(conn)).recorded == 4 * 20 * reports
    assert (await compare(pool, books)).exact


async def test_with_everything_running(
    pool: Pool,
    books: Books,
    worker: Worker,
    settler: Settler,
    desk: Desk,
    conn: Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Workers are refused meanwhile and try again, money comes in, settlers run: all is kept."""
    monkeypatch.setattr(consumer, "_STOPPED_S", 0.05)
    monkeypatch.setattr(consumer, "_PAUSE_S", 0.0)
    halt = asyncio.Event()
    refused = 0

    async def report() -> int:
        nonlocal refused
        n = 0
        while not halt.is_set():
            n += 1
            while True:
                try:
                    await feed(worker, n, n)
                    break
                except (StoreFenced, Unanswered):  # reading is not refused
                    refused += 1
                    await asyncio.sleep(0.002)
        return n

    async def move_money() -> None:
        while not halt.is_set():
            await desk.post("a1", 7)
            try:
                await desk.relay()
            except StoreFenced:
                await asyncio.sleep(0.002)

    async with asyncio.TaskGroup() as tasks:
        reporting = tasks.create_task(report())
        tasks.create_task(move_money())
        tasks.create_task(settler.run(halt))
        for generation in (2, 3, 4):
            rebuilt = await rebuild_now(pool, books)
            assert (rebuilt.generation, rebuilt.lost) == (generation, None)
            compared = await compare(pool, books)
            assert compared.exact, compared
        async with asyncio.timeout(20):
            while settler.condition is not Condition.SETTLING:
                await asyncio.sleep(0.01)
        halt.set()
    assert refused > 0
    await settle_all(settler)
    assert (await sums(conn)).recorded == 4 * 20 * reporting.result()
    assert (await compare(pool, books)).exact


class Meddled:
    """All ports of the store; something happens before accounts are restored."""

    def __init__(self, books: Books, meddle: Callable[[], Awaitable[None]]) -> None:
        self._ports = (books.streams, books.restoration)
        self._meddle = meddle

    def __getattr__(self, name: str) -> Any:
        return getattr(next(port for port in self._ports if hasattr(port, name)), name)

    async def restore_accounts(self, accounts: Sequence[Account]) -> None:
        """Let it happen, and go on."""
        await self._meddle()
        await self._ports[1].restore_accounts(accounts)


class Remembered:
    """A stream as a settler has read it before the store was lost; then the real one."""

    def __init__(self, books: Books, entries: list[StreamEntry]) -> None:
        self._stream = books.streams
        self._entries = entries

    async def entries_after(
        self, position: Position, count: int, wait_ms: int = 0
    ) -> list[StreamEntry]:
        """Return what was read before, once."""
        remembered, self._entries = self._entries, []
        return remembered or await self._stream.entries_after(position, count, wait_ms)

    async def trim(self, position: Position) -> None:
        """Trim the real one."""
        await self._stream.trim(position)


async def test_a_settler_that_still_has_entries_of_the_lost_store(
    pool: Pool, books: Books, worker: Worker, settler: Settler, conn: Connection
) -> None:
    """It comes to book them while the store is restored without them: that is too late."""
    await feed(worker, 1, 1)
    await settle_all(settler)
    await feed(worker, 2, 2)
    entries = await books.streams.entries_after(Position(1, 1), 10)
    await books.clear()
    late = Settler(pool, Remembered(books, entries), books.streams)
    tasks: list[asyncio.Task[int]] = []

    async def settle_late() -> None:
        """Begin, and come as far as to wait for the position, or to the end."""
        tasks.append(asyncio.create_task(late.settle_once(10)))
        waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
        async with asyncio.timeout(10):
            while not tasks[0].done() and not await conn.fetchval(waiting):
                await asyncio.sleep(0.001)

    await rebuild_now(pool, books, Meddled(books, settle_late))
    assert await tasks[0] == 0
    assert (await sums(conn)).recorded == 4 * 20
    assert (await compare(pool, books)).exact


async def test_one_at_a_time(pool: Pool, books: Books) -> None:
    """A second run is refused while the first one goes on, and changes nothing."""
    outcomes = await asyncio.gather(
        rebuild_now(pool, books), rebuild_now(pool, books), return_exceptions=True
    )
    assert [type(each) for each in outcomes if isinstance(each, Exception)] == [RebuildRefused]
    assert (await books.streams.books()).position == Position(2, 0)


async def test_a_gap_in_the_stream(
    pool: Pool, books: Books, worker: Worker, settler: Settler, conn: Connection
) -> None:
    """What cannot be settled is kept octet for octet before the old books are dropped."""
    await feed(worker, 1, 4)
    stream = f"{books.connection.prefix}:settle"
    await books.connection.command("XDEL", stream, "1-2")
    entries = await books.streams.entries_after(Position(1, 2), 10)
    rebuilt = await rebuild_now(pool, books)
    assert rebuilt.lost is not None
    assert "1-2" in rebuilt.lost
    assert (rebuilt.settled_entries, rebuilt.parked_items) == (1, 8)
    kept = await conn.fetch("SELECT entry FROM parked_entries ORDER BY sequence, item")
    assert [row[0] for row in kept] == [value for entry in entries for _, value in entry.items]
    assert (await compare(pool, books)).exact
    await feed(worker, 5, 5)
    await settle_all(settler)
    assert (await sums(conn)).recorded == 4 * 20 * 5, "the counters are cumulative"


@pytest.mark.parametrize(
    ("meta", "told"),
    [(("sequence", 1), "has lost"), (("generation", 9), "generation 9")],
    ids=["an older copy", "other books"],
)
async def test_books_that_are_not_those_of_postgres(
    pool: Pool, books: Books, worker: Worker, settler: Settler, meta: tuple[str, int], told: str
) -> None:
    """They are replaced, under a generation that nobody had, and it is told what may be missing."""
    await feed(worker, 1, 3)
    await settle_all(settler)
    await books.connection.command("HSET", f"{books.connection.prefix}:meta", *meta)
    rebuilt = await rebuild_now(pool, books)
    assert rebuilt.lost is not None
    assert told in rebuilt.lost
    assert rebuilt.generation == (10 if meta[0] == "generation" else 2)
    assert (await compare(pool, books)).exact


async def test_failing_before_anything_is_dropped(
    pool: Pool, books: Books, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fence is lifted, and work goes on as if nothing had been."""
    await feed(worker, 1, 1)

    class Line:
        """The stream cannot be read."""

        async def entries_after(self, *_: object) -> None:
            raise StoreUnavailable("the line is down")

    line: Any = Line()
    with pytest.raises(StoreUnavailable):
        await rebuild(
            pool, books.streams, line, books.restoration, interval_seconds=300, quiet_seconds=900
        )
    there = await books.streams.books()
    assert (there.fence, there.position) == (None, Position(1, 1))
    await feed(worker, 2, 2)


async def test_a_fence_of_somebody_else_stays(pool: Pool, books: Books, worker: Worker) -> None:
    """It was not ours to lift; that of a run that was killed is."""
    await books.streams.fence("maintenance")
    await rebuild_now(pool, books)
    assert (await books.streams.books()).fence == "maintenance"
    await books.streams.fence(FENCE)
    await rebuild_now(pool, books)
    assert (await books.streams.books()).fence is None


async def test_nothing_to_rebuild_from(pool: Pool, books: Books, conn: Connection) -> None:
    """A database in which settlement never began says nothing about balances."""
    await conn.execute("DELETE FROM settlement_positions")
    with pytest.raises(RebuildRefused, match="never began"):
        await rebuild_now(pool, books)
    assert (await books.streams.books()).fence is None


async def test_errors_of_the_store_are_told(pool: Pool) -> None:
    """A store that is not there leaves everything as it is."""
    away = Books("unix:///tmp/there-is-no-such-store.sock")
    with pytest.raises(StoreError):
        await rebuild_now(pool, away)
    await away.connection.close()


async def test_it_takes_the_time_that_all_there_is_takes(
    database_url: str, books: Books, settler: Settler, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ledger of years is summed up, and millions of sessions are written, while one idles."""
    await settle_all(settler)
    for bound in ("STATEMENT_SECONDS", "SILENCE_SECONDS", "IDLE_SECONDS"):
        monkeypatch.setattr(database, bound, 1)
    slowly = restored.SQL["accounts"]
    slowly = f"SELECT accounts.*, pg_sleep(0.6)::text FROM ({slowly}) AS accounts"
    monkeypatch.setattr(restored, "SQL", {**restored.SQL, "accounts": slowly})
    async with await database.connect(database_url, size=3) as impatient:
        rebuilt = await rebuild_now(impatient, books)
    assert rebuilt.accounts == 3
