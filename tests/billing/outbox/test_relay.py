"""The relay on a real store: order, completeness, and one account's trouble is only its own."""

import asyncio
import random
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path

import msgspec
import pytest

from balances.connection import Connection as StoreConnection
from balances.errors import StoreFenced, StoreRefused, StoreUnavailable
from balances.housekeeping import StreamAndBooks
from balances.messages import (
    Account,
    Lookup,
    OpenAccount,
    Post,
    PutSubscriber,
    Subscriber,
    encode_movement,
)
from billing.accounts import money, register
from billing.accounts.account import AccountStatus
from billing.catalogue import plans
from billing.catalogue.plans import load_plans
from billing.database import Connection, Pool
from billing.ledger.statement import balance
from billing.nas import register as nas
from billing.outbox import relay as relay_module
from billing.outbox.post import UNNUMBERED, post
from billing.outbox.relay import MAX_REFUSALS, PACK, Relay
from billing.outbox.waiting import Waiting, refusals, waiting
from billing.sealing.keyring import Keyring
from rating.plan import Plan
from rating.tariff import Tariff
from tests.balances.server import serving, valkey_program
from tests.billing.outbox.watched import WatchedStore

METERED = Plan("metered", 1, Tariff("EUR", ()))
RING = Keyring([b"k" * 32])


@pytest.fixture
def relay(pool: Pool, store: WatchedStore) -> Relay:
    """A relay between the test's database and the store."""
    return Relay(pool, store)


async def open_accounts(conn: Connection, names: list[str], now: datetime) -> None:
    for name in names:
        await register.create(conn, name, "EUR", now=now)


async def in_store(books: StreamAndBooks, account: str) -> Account | None:
    [audit] = await books.inspect([account])
    return None if audit is None else audit.account


async def force(conn: Connection, account: str, sequence: int, movement: bytes, now: datetime):
    """Put something on the road that nobody would post."""
    await conn.execute(
        "INSERT INTO store_outbox VALUES ($1, $2, $3, $4)", account, sequence, movement, now
    )
    await conn.execute(
        "UPDATE customer_billing_accounts SET movement_sequence = $2 WHERE account_id = $1",
        account,
        sequence,
    )


async def test_everything_that_is_posted_is_applied(
    conn: Connection, relay: Relay, books: StreamAndBooks, store: WatchedStore, now: datetime
) -> None:
    await register.create(conn, "alice", "EUR", credit_limit_micros=7, now=now)
    await money.top_up(conn, "alice", 5_000_000, actor="staff", now=now)
    await money.adjust(conn, "alice", -1, reason="fee", actor="staff", now=now)
    await register.set_limits(
        conn, "alice", credit_limit_micros=None, minimum_balance_micros=3, now=now
    )
    await register.set_status(conn, "alice", AccountStatus.SUSPENDED, now=now)
    async with conn.transaction():
        await post(conn, [PutSubscriber("alice", UNNUMBERED, "alice@isp", "metered")], now)
    assert await relay.drain() == 6
    assert await in_store(books, "alice") == Account(
        account="alice",
        currency="EUR",
        balance=4_999_999,
        reserved=0,
        credit_limit=None,
        minimum=3,
        rating_version=3,
        charged=0,
        moved=6,
        suspended=True,
    )
    [found] = (await store.read([Lookup("s", "n", "alice@isp")])).found
    assert found.subscriber == Subscriber("alice", "metered")


async def test_what_was_applied_is_off_the_road(
    conn: Connection, relay: Relay, now: datetime
) -> None:
    await open_accounts(conn, ["alice", "bob"], now)
    assert await waiting(conn) == Waiting(2, now)
    assert await relay.drain() == 2
    assert await waiting(conn) == Waiting(0, None)
    assert await relay.drain() == 0


async def test_some_accounts_can_be_brought_alone(
    conn: Connection, relay: Relay, books: StreamAndBooks, now: datetime
) -> None:
    await open_accounts(conn, ["alice", "bob"], now)
    assert await relay.drain(["bob", "nobody"]) == 1
    assert await in_store(books, "alice") is None
    assert await in_store(books, "bob") is not None


async def test_many_movements_go_in_packs_in_order(
    conn: Connection, relay: Relay, books: StreamAndBooks, store: WatchedStore, now: datetime
) -> None:
    names = [f"a{number:02}" for number in range(30)]
    await open_accounts(conn, names, now)
    order = names * 50
    random.Random(1).shuffle(order)
    async with conn.transaction():
        await post(conn, [Post(name, UNNUMBERED, n) for n, name in enumerate(order)], now)
    assert await relay.drain() == 30 * 51
    assert max(store.calls) == PACK
    assert len(store.calls) == -(-30 * 51 // PACK)
    for name in names:
        account = await in_store(books, name)
        assert account is not None
        assert account.moved == 51
        assert account.balance == sum(n for n, owner in enumerate(order) if owner == name)


async def test_a_refused_movement_stops_its_account_only(
    conn: Connection, relay: Relay, books: StreamAndBooks, now: datetime
) -> None:
    names = [f"a{number:02}" for number in range(20)]
    await open_accounts(conn, names, now)
    for name in names:
        await money.top_up(conn, name, 1, actor="staff", now=now)
    await force(conn, "a07", 3, encode_movement(OpenAccount("a07", 3, "EUR")), now)
    for name in names:
        await money.top_up(conn, name, 10, actor="staff", now=now)
    assert await relay.drain() == 20 * 3 - 1
    for name in names:
        account = await in_store(books, name)
        assert account is not None
        assert account.balance == (1 if name == "a07" else 11)
    [refusal] = await refusals(conn)
    assert (refusal.account, refusal.sequence, refusal.movements) == ("a07", 3, 2)
    assert "is open already" in refusal.reason
    assert refusal.posted_at == now


async def test_an_account_that_stands_still_goes_on_once_it_can(
    conn: Connection, relay: Relay, books: StreamAndBooks, store: WatchedStore, now: datetime
) -> None:
    await open_accounts(conn, ["alice"], now)
    await force(conn, "alice", 2, encode_movement(OpenAccount("alice", 2, "EUR")), now)
    await money.top_up(conn, "alice", 5, actor="staff", now=now)
    await relay.drain()
    tried = len(store.calls)
    assert await relay.drain() == 0
    assert len(store.calls) == tried, "it is left alone for a while"
    await conn.execute(
        "UPDATE store_outbox SET movement = $1 WHERE sequence = 2",
        encode_movement(Post("alice", 2, 1)),
    )
    assert await relay.drain(["alice"]) == 2
    account = await in_store(books, "alice")
    assert account is not None
    assert account.balance == 6
    assert await refusals(conn) == []


async def test_a_movement_of_a_newer_version_stops_its_account_only(
    conn: Connection, relay: Relay, now: datetime
) -> None:
    await open_accounts(conn, ["alice", "bob"], now)
    await force(conn, "alice", 2, b'{"kind": "teleport", "account": "alice"}', now)
    assert await relay.drain() == 2
    [refusal] = await refusals(conn)
    assert (refusal.account, refusal.sequence) == ("alice", 2)
    assert "teleport" in refusal.reason


async def test_movements_that_are_gone_stop_their_account(
    conn: Connection, relay: Relay, books: StreamAndBooks, now: datetime
) -> None:
    await open_accounts(conn, ["alice", "bob"], now)
    for _ in range(3):
        await money.top_up(conn, "alice", 1, actor="staff", now=now)
    await conn.execute("DELETE FROM store_outbox WHERE account_id = 'alice' AND sequence = 2")
    assert await relay.drain() == 2
    [refusal] = await refusals(conn)
    assert (refusal.account, refusal.sequence, refusal.movements) == ("alice", 3, 2)
    assert "applied up to 1, and what follows it is gone" in refusal.reason
    account = await in_store(books, "alice")
    assert account is not None
    assert (account.balance, account.moved) == (0, 1)


async def test_a_database_that_was_set_back_loses_no_money_silently(
    conn: Connection, relay: Relay, now: datetime
) -> None:
    await open_accounts(conn, ["alice"], now)
    for _ in range(5):
        await money.top_up(conn, "alice", 1, actor="staff", now=now)
    await relay.drain()
    await conn.execute("UPDATE customer_billing_accounts SET movement_sequence = 3")
    await money.top_up(conn, "alice", 100, actor="staff", now=now)
    assert await relay.drain() == 0
    [refusal] = await refusals(conn)
    assert refusal.sequence == 4
    assert "applied up to 6, which was never posted here" in refusal.reason


async def test_a_lost_reply_applies_nothing_twice(
    conn: Connection, relay: Relay, books: StreamAndBooks, store: WatchedStore, now: datetime
) -> None:
    await open_accounts(conn, ["alice"], now)
    await money.top_up(conn, "alice", 5, actor="staff", now=now)
    store.fail_after_apply = StoreUnavailable("timeout")
    with pytest.raises(StoreUnavailable):
        await relay.drain()
    assert await relay.drain() == 2
    account = await in_store(books, "alice")
    assert account is not None
    assert account.balance == 5


async def test_a_store_that_refuses_everything_is_not_asked_for_each(
    conn: Connection, relay: Relay, store: WatchedStore, now: datetime
) -> None:
    # As if the store had been emptied and begun anew, and all these were never opened.
    names = [f"a{number:03}" for number in range(4 * MAX_REFUSALS)]
    await open_accounts(conn, names, now)
    await conn.execute("UPDATE store_outbox SET movement = movement || '{\"kind\": \"status\","
                       " \"suspended\": true, \"closed\": false}'")  # fmt: skip
    with pytest.raises(StoreRefused, match="is not open"):
        await relay.drain()
    assert len(store.calls) < 3 * MAX_REFUSALS
    assert len(await refusals(conn, limit=1000)) == MAX_REFUSALS


async def test_fenced_books_take_nothing_and_lose_nothing(
    conn: Connection, relay: Relay, books: StreamAndBooks, now: datetime
) -> None:
    await open_accounts(conn, ["alice"], now)
    await books.fence("the balances are being rebuilt")
    with pytest.raises(StoreFenced):
        await relay.drain()
    await books.fence("")
    assert await relay.drain() == 1


async def test_relays_that_race_and_die_bring_everything_exactly_once(
    pool: Pool, connection: StoreConnection, books: StreamAndBooks, now: datetime
) -> None:
    names = [f"a{number}" for number in range(8)]
    async with pool.acquire() as conn:
        await open_accounts(conn, names, now)
    chance = random.Random(7)
    done = asyncio.Event()

    async def pay() -> None:
        for _ in range(60):
            async with pool.acquire() as conn:
                await money.top_up(
                    conn, chance.choice(names), chance.randint(1, 9), actor="staff", now=now
                )

    async def relay_and_die() -> None:
        while not done.is_set():
            draining = asyncio.create_task(Relay(pool, WatchedStore(connection)).drain())
            await asyncio.wait([draining], timeout=chance.uniform(0, 0.02))
            draining.cancel()
            await asyncio.wait([draining])
            if not draining.cancelled():
                draining.result()

    relays = [asyncio.create_task(relay_and_die()) for _ in range(3)]
    await asyncio.gather(*(pay() for _ in range(3)))
    done.set()
    await asyncio.gather(*relays)
    await asyncio.gather(*(Relay(pool, WatchedStore(connection)).drain() for _ in range(3)))
    async with pool.acquire() as conn:
        assert await waiting(conn) == Waiting(0, None)
        for name in names:
            account = await in_store(books, name)
            assert account is not None
            assert account.balance == await balance(conn, name)
            assert account.moved == await conn.fetchval(
                "SELECT movement_sequence FROM customer_billing_accounts WHERE account_id = $1",
                name,
            )


async def test_what_changed_is_published_once(
    conn: Connection, relay: Relay, store: WatchedStore, now: datetime
) -> None:
    assert await relay.publish() == []
    await load_plans(conn, [METERED], now)
    await nas.add(conn, RING, "pop1", source="192.0.2.1", secret=b"s", now=now)
    assert await relay.publish() == ["plans", "nas"]
    assert await relay.publish() == []
    assert await store.published("plans") == (1, await plans.published(conn))
    assert await store.published("nas") == (1, await nas.published(conn))
    await nas.remove(conn, "pop1")
    assert await relay.publish() == ["nas"]
    assert await store.published("nas") == (2, {})


async def test_what_an_emptied_store_has_lost_is_published_again(
    conn: Connection, relay: Relay, store: WatchedStore, connection: StoreConnection, now: datetime
) -> None:
    await load_plans(conn, [METERED], now)
    await relay.publish()
    await connection.command("FLUSHALL")
    await StreamAndBooks(connection).initialise(2)
    assert await relay.publish() == ["plans"]
    assert set((await store.published("plans"))[1]) == {"metered@1"}


async def test_a_database_that_was_set_back_is_published_all_the_same(
    conn: Connection, relay: Relay, store: WatchedStore, now: datetime
) -> None:
    for octets in (1, 2, 3):
        await load_plans(conn, [msgspec.structs.replace(METERED, reserve_octets=octets)], now)
    await relay.publish()
    await conn.execute("DELETE FROM plans WHERE version > 1")
    await conn.execute("UPDATE publications SET revision = 1 WHERE what = 'plans'")
    assert await relay.publish() == ["plans"]
    assert await store.published("plans") == (4, await plans.published(conn))
    assert await relay.publish() == []


async def test_a_revision_is_one_state_of_the_database(
    pool: Pool, relay: Relay, store: WatchedStore, now: datetime
) -> None:
    async def change() -> None:
        async with pool.acquire() as conn:
            for octets in range(1, 30):
                await load_plans(
                    conn, [msgspec.structs.replace(METERED, reserve_octets=octets)], now
                )

    changing = asyncio.create_task(change())
    while not changing.done():
        await relay.publish()
        revision, values = await store.published("plans")
        assert len(values) == revision
    await changing


@asynccontextmanager
async def running(relay: Relay) -> AsyncGenerator[None]:
    """Run a relay; at the end it stops when it is told to."""
    stop = asyncio.Event()
    task = asyncio.create_task(relay.run(stop))
    try:
        yield
    finally:
        stop.set()
        await asyncio.wait_for(task, 5)


async def test_running_a_topup_is_applied_as_soon_as_it_is_posted(
    pool: Pool, relay: Relay, store: WatchedStore, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay_module, "POLL_SECONDS", 3600)
    async with running(relay), pool.acquire() as conn:
        await open_accounts(conn, ["alice"], now)
        await store.until(lambda: sum(store.calls) >= 1)
        await money.top_up(conn, "alice", 5, actor="staff", now=now)
        await store.until(lambda: sum(store.calls) >= 2)
        await load_plans(conn, [METERED], now)
        await store.until(lambda: store.published_revisions == [("plans", 1)])


async def test_running_what_nobody_told_of_is_found_by_looking(
    pool: Pool, relay: Relay, store: WatchedStore, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay_module, "POLL_SECONDS", 0.05)
    async with running(relay), pool.acquire() as conn:
        await open_accounts(conn, ["alice"], now)
        await store.until(lambda: sum(store.calls) >= 1)
        await force(conn, "alice", 2, encode_movement(Post("alice", 2, 1)), now)
        await store.until(lambda: sum(store.calls) >= 2)


async def test_running_a_topup_does_not_wait_behind_a_crowd(
    pool: Pool, relay: Relay, store: WatchedStore, books: StreamAndBooks, now: datetime
) -> None:
    async with pool.acquire() as conn:
        await open_accounts(conn, ["a", "zzz"], now)
        await relay.drain()
        async with conn.transaction():
            await post(conn, [Post("a", UNNUMBERED, 1)] * (20 * PACK), now)
        async with running(relay):
            await store.until(lambda: len(store.calls) >= 3)
            await money.top_up(conn, "zzz", 7, actor="staff", now=now)
            await store.until(lambda: 1 in store.calls[2:])
            assert len(store.calls) < 20
            account = await in_store(books, "zzz")
            assert account is not None
            assert account.balance == 7


async def test_running_it_survives_the_loss_of_its_connection_and_of_replies(
    pool: Pool,
    relay: Relay,
    store: WatchedStore,
    books: StreamAndBooks,
    now: datetime,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(relay_module, "POLL_SECONDS", 3600)
    monkeypatch.setattr(relay_module, "BACK_OFF_SECONDS", (0.01,))
    async with running(relay), pool.acquire() as conn:
        await open_accounts(conn, ["alice"], now)
        await store.until(lambda: sum(store.calls) >= 1)
        await conn.execute("SET ROLE NONE")
        for _ in range(10):
            # Wherever the relay is just now.
            await conn.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            store.fail_after_apply = StoreUnavailable("timeout")
            before = len(store.calls)
            await money.top_up(conn, "alice", 1, actor="staff", now=now)
            # The call whose reply is lost, and its repetition.
            await store.until(lambda before=before: len(store.calls) >= before + 2)
        account = await in_store(books, "alice")
        assert account is not None
        assert (account.balance, account.moved) == (10, 11)


async def test_running_it_survives_the_loss_of_the_store(
    pool: Pool, now: datetime, tmp_path: Path
) -> None:
    with serving(valkey_program(), tmp_path) as server:
        connection = StoreConnection(server.url, timeout_ms=500)
        books, store = StreamAndBooks(connection), WatchedStore(connection)
        await books.initialise(1)
        relay = Relay(pool, store)
        async with running(relay), pool.acquire() as conn:
            await open_accounts(conn, ["alice"], now)
            await store.until(lambda: sum(store.calls) >= 1)
            server.kill()
            await money.top_up(conn, "alice", 5, actor="staff", now=now)
            await store.until(lambda: store.attempts >= 3)
            with serving(valkey_program(), tmp_path):
                await store.until(lambda: sum(store.calls) >= 2)
                account = await in_store(books, "alice")
        assert account is not None
        assert account.balance == 5
        await connection.close()


async def test_running_it_asks_a_store_that_is_away_less_and_less_often(pool: Pool) -> None:
    connection = StoreConnection("redis://127.0.0.1:1", timeout_ms=500)  # nobody listens there
    store = WatchedStore(connection)
    began = time.monotonic()
    async with running(Relay(pool, store)):
        await store.until(lambda: store.attempts == 4)
        assert time.monotonic() - began > sum(relay_module.BACK_OFF_SECONDS[:3])
    await connection.close()
