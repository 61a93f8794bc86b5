"""The settler on a real stream and a real database: exactly once, whatever happens."""

import asyncio
import random
import subprocess
import sys
from collections.abc import Callable

import pytest
from structlog.testing import capture_logs

from balances.errors import StoreUnavailable
from balances.messages import Position, StreamEntry
from billing.database import Connection, Pool
from billing.settlement import consumer, position
from billing.settlement.consumer import Condition, SettlementStopped, Settler
from tests.billing.settlement.conservation import assert_settled_once
from tests.billing.settlement.making import EVENT
from tests.billing.settlement.worker import Worker, interim, stop
from tests.billing.settlement.world import Books, Desk

USERS = ("ann", "ben", "cem", "dan")

#: Two micros buy 1,000 octets, so a report of this much more is charged 20.
STEP = 10_000


async def feed(worker: Worker, batches: int, *, first: int = 1) -> int:
    """Commit `batches` stream entries, in each a report of every user; return how many reports."""
    for n in range(first, first + batches):
        await worker.report(
            *(
                interim(f"s-{user}", user, EVENT + 60 * n, STEP * n, seconds=60 * n)
                for user in USERS
            )
        )
    return batches * len(USERS)


@pytest.fixture(autouse=True)
async def accounts(desk: Desk) -> None:
    """Four users on two accounts, with money."""
    await desk.open_account("a1", 10**9, users=USERS[:2])
    await desk.open_account("a2", 10**9, users=USERS[2:])


async def settle_all(settler: Settler, max_entries: int = 100) -> int:
    """Settle what is in the stream; return how many entries that were."""
    total = 0
    while settled := await settler.settle_once(max_entries):
        total += settled
    return total


async def until(condition: Callable[[], bool], *, seconds: float = 20) -> None:
    """Wait until something holds."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)


async def stream_length(books: Books) -> int:
    """How many entries the stream holds."""
    return await books.connection.command("XLEN", f"{books.connection.prefix}:settle")


async def test_what_was_committed_is_settled_and_trimmed(
    settler: Settler, worker: Worker, conn: Connection, books: Books
) -> None:
    """To the micro, in as many transactions as there are batches, and the stream is empty then."""
    records = await feed(worker, 5)
    await worker.report(stop("s-ann", "ann", EVENT + 360, STEP * 6, seconds=360))
    assert await settler.settle_once(4) == 4
    assert await settler.settle_once(4) == 2
    assert await settler.settle_once(4) == 0
    await assert_settled_once(conn, charged=worker.charged, records=records + 1)
    assert (
        await conn.fetchval("SELECT count(*) FROM billing_transactions WHERE kind = 'usage'") == 2
    )
    assert await conn.fetchval("SELECT count(*) FROM accounting_sessions") == 4
    ended = "SELECT charged_micros FROM accounting_sessions WHERE close_reason = 'stop'"
    assert await conn.fetchval(ended) == 120
    assert await stream_length(books) == 0
    assert settler.counts.entries == 6
    assert settler.counts.parked == 0


async def test_settling_waits_for_the_first_entry(settler: Settler, worker: Worker) -> None:
    """It blocks in the store until something is committed."""
    waiting = asyncio.create_task(settler.settle_once(10, wait_ms=1500))
    await feed(worker, 1)
    assert await waiting == 1


async def test_two_settlers_at_once_settle_once(
    pool: Pool, books: Books, settler: Settler, worker: Worker, conn: Connection
) -> None:
    """They get in each other's way, and nothing is settled twice or left out."""
    records = await feed(worker, 60)
    other = Settler(pool, books.streams, books.streams)
    shares = await asyncio.gather(settle_all(settler, 3), settle_all(other, 3))
    assert sum(shares) == 60
    await assert_settled_once(conn, charged=worker.charged, records=records)


async def test_a_settler_that_was_away_takes_up_where_the_other_stands(
    pool: Pool, books: Books, settler: Settler, worker: Worker, conn: Connection
) -> None:
    """What it remembers is long settled and trimmed: no gap, only old knowledge."""
    await feed(worker, 3)
    assert await settle_all(settler) == 3
    other = Settler(pool, books.streams, books.streams)
    await feed(worker, 3, first=4)
    assert await settle_all(other) == 3
    records = await feed(worker, 3, first=7)
    assert await settle_all(settler) == 3
    await assert_settled_once(conn, charged=worker.charged, records=records * 3)


async def test_cancelled_at_any_point(
    pool: Pool, books: Books, settler: Settler, worker: Worker, conn: Connection
) -> None:
    """A settler that is stopped in mid-transaction leaves it done or not done."""
    records = await feed(worker, 60)
    turns, finished, stopped = 0, 0, 0
    while finished < 3:
        task = asyncio.create_task(settler.settle_once(1))
        for _ in range(turns):  # of the event loop, a few more each time, until that is enough
            if task.done():
                break
            await asyncio.sleep(0)
        finished += task.done()
        stopped += task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        turns += 3
    assert stopped > 10
    await settle_all(settler)
    await assert_settled_once(conn, charged=worker.charged, records=records)


async def test_killed_at_any_point(
    store_url: str, database_url: str, settler: Settler, worker: Worker, conn: Connection
) -> None:
    """Processes that settle are killed (SIGKILL) while they do; what they leave is whole."""
    records = await feed(worker, 400)
    chance = random.Random(7)
    command = [sys.executable, "-m", "tests.billing.settlement.settle_forever"]
    at = await position.read(conn, 0)
    assert at is not None
    for _ in range(5):
        with subprocess.Popen([*command, store_url, database_url]) as process:
            began = at
            async with asyncio.timeout(30):
                while at.position.sequence < began.position.sequence + 1 + chance.randrange(12):
                    assert process.poll() is None
                    settled = await position.read(conn, 0)
                    assert settled is not None
                    at = settled
            process.kill()
    assert at.position.sequence < 400, "they were not killed in the middle"
    await settle_all(settler)
    await assert_settled_once(conn, charged=worker.charged, records=records)


async def test_a_parked_item_is_counted(
    books: Books, settler: Settler, worker: Worker, conn: Connection
) -> None:
    """It stays visible in the settler's own counts."""
    await feed(worker, 1)
    await books.store.commit([], [b"no entry"])
    assert await settle_all(settler) == 2
    assert settler.counts.parked == 1
    assert await conn.fetchval("SELECT entry FROM parked_entries") == b"no entry"
    assert await conn.fetchval("SELECT field FROM parked_entries") == b"0"


async def assert_stops(settler: Settler, conn: Connection, expected: Position) -> SettlementStopped:
    """Assert that settlement stops, wanting `expected`, and books nothing."""
    before = await position.read(conn, 0)
    with pytest.raises(SettlementStopped) as caught:
        await settler.settle_once(10)
    assert caught.value.expected == expected
    assert await position.read(conn, 0) == before
    return caught.value


async def test_a_gap_stops_it(
    books: Books, settler: Settler, worker: Worker, conn: Connection
) -> None:
    """An entry that is missing is not skipped; what comes before it is settled."""
    await feed(worker, 4)
    await books.connection.command("XDEL", f"{books.connection.prefix}:settle", "1-3")
    assert await settler.settle_once(10) == 2
    stopped = await assert_stops(settler, conn, Position(1, 3))
    assert stopped.found == Position(1, 4)


async def test_a_lost_stream_stops_it(
    books: Books, settler: Settler, worker: Worker, conn: Connection
) -> None:
    """The store's books say that there were entries, and they are not there."""
    await feed(worker, 2)
    await books.connection.command("DEL", f"{books.connection.prefix}:settle")
    stopped = await assert_stops(settler, conn, Position(1, 1))
    assert stopped.found is None


async def test_an_emptied_store_stops_it(
    books: Books, settler: Settler, worker: Worker, conn: Connection
) -> None:
    """It is never taken for a new one."""
    await feed(worker, 2)
    await settle_all(settler)
    await books.clear()
    await assert_stops(settler, conn, Position(1, 3))
    assert await books.connection.command("DBSIZE") == 0


async def test_a_store_that_went_back_stops_it(
    books: Books, settler: Settler, worker: Worker, conn: Connection
) -> None:
    """An older copy of the store, restored, would give sequence numbers a second time."""
    await feed(worker, 3)
    await settle_all(settler)
    await books.connection.command("HSET", f"{books.connection.prefix}:meta", "sequence", 1)
    stopped = await assert_stops(settler, conn, Position(1, 4))
    assert stopped.found == Position(1, 1)


async def test_a_foreign_generation_stops_it(
    books: Books, settler: Settler, worker: Worker, conn: Connection
) -> None:
    """Other books than those that Postgres knows; with entries in them or without."""
    await settle_all(settler)
    await books.streams.fence("test")
    await books.restoration.restart(9)
    assert await settler.settle_once(10) == 0, "behind a fence the books may be in the making"
    await books.streams.fence("")
    stopped = await assert_stops(settler, conn, Position(1, 1))
    assert stopped.found == Position(9, 0)
    await books.store.commit([], [b"an entry of theirs"])
    stopped = await assert_stops(settler, conn, Position(1, 1))
    assert stopped.found == Position(9, 1)


async def test_lag_is_counted_and_aged(settler: Settler, worker: Worker, books: Books) -> None:
    """By the store's clock; nothing waits when all is settled."""
    books.connection.now_ms = 1_000_000
    assert await settler.lag(1_000_500) == consumer.Lag(0, 0)
    await feed(worker, 3)
    assert await settler.lag(1_000_500) == consumer.Lag(3, 500)
    await settler.settle_once(1)
    assert await settler.lag(1_000_700) == consumer.Lag(2, 700)
    await settle_all(settler)
    assert await settler.lag(1_000_500) == consumer.Lag(0, 0)


async def test_running_until_told_to_stop(
    settler: Settler, worker: Worker, conn: Connection
) -> None:
    """It settles as things are committed, and ends when it is told to."""
    halt = asyncio.Event()
    running = asyncio.create_task(settler.run(halt))
    records = await feed(worker, 20)
    await until(lambda: settler.counts.entries == 20)
    assert settler.condition is Condition.SETTLING
    records += await feed(worker, 20, first=21)
    await until(lambda: settler.counts.entries == 40)
    halt.set()
    await asyncio.wait_for(running, 5)
    await assert_settled_once(conn, charged=worker.charged, records=records)


async def test_running_on_when_connections_to_postgres_are_lost(
    settler: Settler, worker: Worker, conn: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Again and again in the middle of its work; it goes on by itself, exactly once."""
    monkeypatch.setattr(consumer, "_BACK_OFF_S", (0.01,))
    monkeypatch.setattr(consumer, "_PAUSE_S", 0.0)
    halt = asyncio.Event()
    running = asyncio.create_task(settler.run(halt))
    records = 0
    await conn.execute("SET ROLE NONE")
    for n in range(20):
        records += await feed(worker, 3, first=1 + 3 * n)
        await conn.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    await until(lambda: settler.condition is Condition.SETTLING)
    await until(lambda: settler.counts.entries > 0)
    async with asyncio.timeout(20):
        while await conn.fetchval("SELECT sequence FROM settlement_positions") < 60:
            await asyncio.sleep(0.01)
    halt.set()
    await running
    await assert_settled_once(conn, charged=worker.charged, records=records)


async def test_a_database_that_lets_it_wait_is_told(
    settler: Settler, worker: Worker, conn: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may hang for a minute before a statement fails; and what holds settlement is no error."""
    monkeypatch.setattr(consumer, "_PATIENCE_S", 0.1)
    monkeypatch.setattr(consumer, "_WAIT_MS", 20)
    halt = asyncio.Event()
    with capture_logs() as lines:
        running = asyncio.create_task(settler.run(halt))
        records = await feed(worker, 1)
        await until(lambda: settler.counts.entries == 1)
        async with conn.transaction():
            await position.hold(conn, 0)
            records += await feed(worker, 1, first=2)
            await until(lambda: settler.condition is Condition.WAITING)
            assert settler.trouble is not None
            assert "has not answered" in settler.trouble
        await until(lambda: settler.condition is Condition.SETTLING)
        halt.set()
        await running
    told = [line["event"] for line in lines]
    assert told[-2:] == ["settlement waits", "settlement runs"]
    await assert_settled_once(conn, charged=worker.charged, records=records)


class LimpingStream:
    """The store's stream, behind a line that fails every other time."""

    def __init__(self, books: Books) -> None:
        self._stream = books.streams
        self._calls = 0
        self.failures = 0

    def _limp(self) -> None:
        self._calls += 1
        if self._calls % 2:
            self.failures += 1
            raise StoreUnavailable("the line is down")

    async def entries_after(
        self, position: Position, count: int, wait_ms: int = 0
    ) -> list[StreamEntry]:
        """Return what the stream has, if the line holds."""
        self._limp()
        return await self._stream.entries_after(position, count, wait_ms)

    async def trim(self, position: Position) -> None:
        """Trim the stream, if the line holds."""
        self._limp()
        await self._stream.trim(position)


async def test_running_on_when_the_store_fails(
    pool: Pool, books: Books, worker: Worker, conn: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A read that fails is repeated; a trim that fails leaves entries that are settled already."""
    monkeypatch.setattr(consumer, "_BACK_OFF_S", (0.001,))
    line = LimpingStream(books)
    limping = Settler(pool, line, books.streams)
    halt = asyncio.Event()
    running = asyncio.create_task(limping.run(halt))
    records = 0
    for n in range(10):
        records += await feed(worker, 2, first=1 + 2 * n)
        await until(lambda: line.failures > 2 * n)  # noqa: B023
    async with asyncio.timeout(20):
        while await conn.fetchval("SELECT sequence FROM settlement_positions") < 20:
            await asyncio.sleep(0.01)
    halt.set()
    await running
    assert line.failures > 10
    await assert_settled_once(conn, charged=worker.charged, records=records)


async def test_a_stop_is_shown_and_left_by_itself(
    books: Books, settler: Settler, worker: Worker, conn: Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Readiness can tell that a person must look; once that is seen to, settlement goes on."""
    monkeypatch.setattr(consumer, "_STOPPED_S", 0.01)
    await feed(worker, 1)
    stream = f"{books.connection.prefix}:settle"
    await books.connection.command("RENAME", stream, f"{stream}:hidden")
    halt = asyncio.Event()
    running = asyncio.create_task(settler.run(halt))
    await until(lambda: settler.condition is Condition.STOPPED)
    assert settler.trouble is not None
    assert "1-1" in settler.trouble
    await books.connection.command("RENAME", f"{stream}:hidden", stream)
    await until(lambda: settler.condition is Condition.SETTLING)
    halt.set()
    await running
    assert settler.trouble is None
    await assert_settled_once(conn, charged=worker.charged, records=len(USERS))


async def test_batches_are_bounded_by_items(
    settler: Settler, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However much waits, a batch holds about as many items as it should, not more and more."""
    monkeypatch.setattr(consumer, "BATCH_ITEMS", 40)
    await feed(worker, 1)
    assert await settle_all(settler, 1) == 1
    await feed(worker, 100, first=2)
    batches = settler.counts.batches
    halt = asyncio.Event()
    running = asyncio.create_task(settler.run(halt))
    await until(lambda: settler.counts.entries == 101)
    halt.set()
    await running
    assert 10 <= settler.counts.batches - batches <= 21
