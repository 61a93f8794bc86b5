"""Reconcile on a real store and a real ledger: exact under traffic, and no micro escapes it."""

import asyncio
import random
import struct
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest

from balances.messages import AccountAudit
from billing.database import Connection, Pool
from billing.reconcile.run import BooksDiffer, ReconcileUnfinished, Reconciliation, reconcile
from billing.settlement.consumer import Settler
from tests.billing.settlement.making import EVENT
from tests.billing.settlement.worker import Worker, interim, stop
from tests.billing.settlement.world import Books, Desk

ACCOUNTS = [f"a{n}" for n in range(8)]
USERS = [f"u{n}" for n in range(24)]  # three on each account


@pytest.fixture(autouse=True)
async def accounts(desk: Desk) -> None:
    """Accounts with some money, one of them postpaid, and users."""
    for n, account in enumerate(ACCOUNTS):
        await desk.open_account(account, 10**6, postpaid=n == 7, users=USERS[3 * n : 3 * n + 3])


@pytest.fixture
def run(pool: Pool, books: Books) -> Callable[[], Awaitable[Reconciliation]]:
    """Reconcile the store of these tests."""

    async def reconcile_now() -> Reconciliation:
        return await reconcile(pool, books.streams, books.streams, limit_seconds=20)

    return reconcile_now


async def feed(worker: Worker, n: int) -> None:
    """The n-th report of every user."""
    await worker.report(
        *(interim(f"s-{user}", user, EVENT + 60 * n, 10_000 * n, seconds=60 * n) for user in USERS)
    )


async def test_nothing_drifts_when_nothing_moves(
    run: Callable[[], Awaitable[Reconciliation]], worker: Worker, settler: Settler
) -> None:
    """Before settlement, after it, and with the totals of the store."""
    first = await run()
    assert (first.accounts, first.unsettled_entries, first.totals_drift_micros) == (8, 0, 0)
    await feed(worker, 1)
    await feed(worker, 2)
    before = await run()
    assert before.exact
    assert (before.unsettled_entries, before.unsettled_micros) == (2, worker.charged)
    while await settler.settle_once(1):
        assert (await run()).exact
    after = await run()
    assert after.exact
    assert (after.unsettled_entries, after.unsettled_micros) == (0, 0)
    assert (after.drift_micros, after.totals_drift_micros) == (0, 0)
    assert after.position.sequence == 2


async def test_movements_on_the_road_are_counted(
    run: Callable[[], Awaitable[Reconciliation]], desk: Desk, pool: Pool
) -> None:
    """Posted and not applied is no drift; nor is an account that the store has yet to open."""
    await desk.post("a1", 500)
    await desk.post("a2", -200)
    await desk.open_account("new", 77, relay=False)
    found = await run()
    assert found.exact
    assert found.unapplied_movements == 4
    await desk.relay()
    found = await run()
    assert found.exact
    assert found.unapplied_movements == 0


class Interrupted:
    """The store's books, where something happens right after accounts were read."""

    def __init__(self, books: Books, then: Callable[[], Awaitable[None]]) -> None:
        self._books = books.streams
        self._then = then
        self.looks: list[int] = []

    def __getattr__(self, name: str) -> object:
        return getattr(self._books, name)

    async def inspect(self, accounts: Sequence[str]) -> list[AccountAudit | None]:
        """Look, and let it happen before the caller goes on."""
        found = await self._books.inspect(accounts)
        self.looks.append(len(accounts))
        await self._then()
        return found


async def test_movements_and_charges_between_the_two_readings(
    pool: Pool, books: Books, desk: Desk, worker: Worker
) -> None:
    """Top-ups that reach the store after it was read, charges that do, an account that opens."""
    reports = 0

    async def meddle() -> None:
        nonlocal reports
        reports += 1
        await feed(worker, reports)
        if reports < 4:
            await desk.post("a1", 500)
            await desk.post("a4", -1)
            await desk.relay()
            await desk.open_account(f"late{reports}", 5)
            await desk.post("a2", 9)

    meddled: Any = Interrupted(books, meddle)
    found = await reconcile(pool, meddled, books.streams, limit_seconds=20)
    assert found.exact, found.drifting
    assert meddled.looks[0] == 8
    assert meddled.looks[1:] == [2, 2, 2], "only what had moved was read again"
    assert found.totals_drift_micros is None


async def test_exact_under_traffic(
    run: Callable[[], Awaitable[Reconciliation]],
    worker: Worker,
    desk: Desk,
    settler: Settler,
    conn: Connection,
) -> None:
    """Sessions report, money comes in, accounts open, settlement runs: never a micro of drift."""
    halt = asyncio.Event()
    chance = random.Random(3)

    async def report() -> None:
        for n in range(1, 10_000):
            if halt.is_set():
                return
            chosen = chance.sample(USERS, 12)
            await worker.report(
                *(interim(f"s-{u}", u, EVENT + n, 5_000 * n, seconds=n) for u in chosen)
            )
            if n % 7 == 0:
                last = chosen[0]
                await worker.report(stop(f"s-{last}", last, EVENT + n, 5_000 * n, seconds=n))

    async def move_money() -> None:
        for n in range(10_000):
            if halt.is_set():
                return
            await desk.post(chance.choice(ACCOUNTS), chance.choice([5_000, 100_000, -300]))
            if n % 3 == 0:
                await desk.relay()
            if n % 20 == 0:
                await desk.open_account(f"n{n}", 10)

    async def settle() -> None:
        while not halt.is_set():
            await settler.settle_once(chance.choice([1, 3, 10]), wait_ms=20)

    async with asyncio.TaskGroup() as tasks:
        for work in (report, move_money, settle):
            tasks.create_task(work())
        seen: list[Reconciliation] = []
        for _ in range(25):
            seen.append(await run())
            if not seen[-1].exact:
                break
        halt.set()
    assert seen[-1].exact, seen[-1]
    assert len({found.position for found in seen}) > 5, "settlement went on meanwhile"
    assert any(found.unapplied_movements for found in seen)
    while await settler.settle_once(100):
        pass
    while await desk.relay():
        pass
    settled = await run()
    assert settled.exact, settled
    assert settled.unsettled_entries == settled.unapplied_movements == 0
    assert settled.totals_drift_micros == 0


async def change_balance(books: Books, account: str, by: int) -> None:
    """Corrupt an account of the store: its balance stands after the layout and the flags."""
    key = f"{books.connection.prefix}:a:{account}"
    value = await books.connection.command("GET", key)
    (balance,) = struct.unpack_from(">q", value, 2)
    await books.connection.command("SETRANGE", key, 2, struct.pack(">q", balance + by))


async def test_one_micro_too_much_in_the_store(
    run: Callable[[], Awaitable[Reconciliation]], books: Books, worker: Worker
) -> None:
    """It is found, named, and left as it is; the store's own totals show it, too."""
    await feed(worker, 1)
    await change_balance(books, "a3", 1)
    for _ in range(2):
        found = await run()
        assert not found.exact
        assert found.drift_micros == 1
        assert found.totals_drift_micros == 1
        (drift,) = found.drifting
        assert (drift.account, drift.drift_micros) == ("a3", 1)
        assert drift.store_balance_micros == 10**6 - 60 + 1
        assert drift.unsettled_micros == 60


async def test_one_micro_too_much_in_the_ledger(
    run: Callable[[], Awaitable[Reconciliation]], conn: Connection
) -> None:
    """Balanced or not: money that the store was not told of, and books that do not close."""
    posting = (
        "INSERT INTO ledger_postings SELECT transaction_id, posted_at, l, a, 'EUR', m"
        " FROM billing_transactions,"
        " (VALUES (20::smallint, 'a1', -1), (10, NULL, 1)) AS p (l, a, m)"
        " WHERE account_id = 'a1' AND ($1 OR a IS NOT NULL)"
    )
    await conn.execute(posting, True)
    found = await run()
    assert [(drift.account, drift.drift_micros) for drift in found.drifting] == [("a1", -1)]
    assert found.ledger_remainders_micros == {}
    await conn.execute("SET ROLE NONE")
    await conn.execute("SET session_replication_role = replica")
    await conn.execute(posting, False)
    await conn.execute("SET session_replication_role = origin")
    found = await run()
    assert found.drift_micros == 2
    assert found.ledger_remainders_micros == {"EUR": -1}


async def test_a_reservation_without_a_session(
    run: Callable[[], Awaitable[Reconciliation]], books: Books, worker: Worker
) -> None:
    """Its balance is right, its available is not: that is found, too."""
    await feed(worker, 1)
    await books.connection.command("DEL", f"{books.connection.prefix}:s:pop1/10.0.0.1|s-u0")
    found = await run()
    assert not found.exact
    assert found.drift_micros == 0
    (drift,) = found.drifting
    assert drift.account == "a0"
    assert drift.reserved_micros > drift.held_micros


async def test_accounts_that_only_one_side_has(
    run: Callable[[], Awaitable[Reconciliation]], books: Books, conn: Connection
) -> None:
    """One that the store has lost, and one that nobody opened."""
    prefix = books.connection.prefix
    await books.connection.command("RENAME", f"{prefix}:a:a5", f"{prefix}:a:stranger")
    found = await run()
    assert [drift.account for drift in found.drifting] == ["a5"]
    assert found.drifting[0].faults[0] == "the store does not hold it"
    assert found.unknown_accounts == 1


async def test_a_movement_that_is_lost(
    run: Callable[[], Awaitable[Reconciliation]], desk: Desk, conn: Connection
) -> None:
    """Posted, not applied, and not on the road any more."""
    await desk.post("a6", 40)
    await conn.execute("DELETE FROM store_outbox")
    found = await run()
    (drift,) = found.drifting
    assert (drift.account, drift.drift_micros) == ("a6", -40)
    assert "on the road" in drift.faults[0]


async def test_parked_charges_are_shown_as_the_cause(
    run: Callable[[], Awaitable[Reconciliation]],
    books: Books,
    worker: Worker,
    settler: Settler,
    conn: Connection,
) -> None:
    """The store has charged them, the ledger could not book them: so much drift, explained."""
    await feed(worker, 1)
    await conn.execute("SET ROLE NONE")
    await conn.execute("ALTER TABLE usage_records ADD CHECK (account_id <> 'a2')")
    await settler.settle_once(10)
    await books.store.commit([], [b"odd"])
    waiting = await run()
    assert waiting.unreadable_entries == 1
    await settler.settle_once(10)
    found = await run()
    assert found.parked_entries == 4
    (drift,) = found.drifting
    assert (drift.account, drift.drift_micros, drift.parked_micros) == ("a2", -60, 60)


async def test_other_books_are_not_compared(
    run: Callable[[], Awaitable[Reconciliation]],
    books: Books,
    worker: Worker,
    settler: Settler,
    conn: Connection,
) -> None:
    """A store that lost what was settled, one of another generation, a stream with a gap."""
    await feed(worker, 1)
    await feed(worker, 2)
    await feed(worker, 3)
    await settler.settle_once(1)
    stream, meta = f"{books.connection.prefix}:settle", f"{books.connection.prefix}:meta"
    await books.connection.command("XDEL", stream, "1-2")
    with pytest.raises(BooksDiffer, match="expected"):
        await run()
    await books.connection.command("HSET", meta, "sequence", 0)
    with pytest.raises(BooksDiffer, match="has settled"):
        await run()
    await books.connection.command("HSET", meta, "generation", 2, "sequence", 9)
    with pytest.raises(BooksDiffer, match="has settled"):
        await run()
    await conn.execute("DELETE FROM settlement_positions")
    with pytest.raises(BooksDiffer, match="never began"):
        await run()


async def test_settlement_is_held_for_a_bounded_time(
    pool: Pool, books: Books, worker: Worker, settler: Settler
) -> None:
    """A comparison that does not come to an end lets settlement go on."""
    await feed(worker, 1)
    held = asyncio.Event()

    async def hang() -> None:
        held.set()
        await asyncio.sleep(3600)

    hanging: Any = Interrupted(books, hang)
    running = asyncio.create_task(reconcile(pool, hanging, books.streams, limit_seconds=1))
    await held.wait()
    settling = asyncio.create_task(settler.settle_once(10))
    with pytest.raises(ReconcileUnfinished, match="0 of 8"):
        await running
    assert await asyncio.wait_for(settling, 10) == 1
