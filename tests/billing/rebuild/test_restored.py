"""What the store takes back is what Postgres knows."""

from collections.abc import AsyncIterator
from typing import TypeVar

import pytest

from balances.messages import RestoredSession, Subscriber, decode_state
from billing.database import Connection
from billing.rebuild import restored
from billing.settlement.consumer import Settler
from tests.billing.settlement.making import EVENT
from tests.billing.settlement.worker import Worker, interim
from tests.billing.settlement.world import Desk

T = TypeVar("T")


async def all_of(chunks: AsyncIterator[list[T]]) -> list[T]:
    """Everything in the chunks, none of which is empty."""
    found: list[T] = []
    async for chunk in chunks:
        assert chunk
        found += chunk
    return found


async def test_accounts_with_all_that_was_posted(
    desk: Desk, worker: Worker, settler: Settler, conn: Connection
) -> None:
    """Balances by the ledger, limits and status as they are, movements as contained."""
    await desk.open_account("a1", 5_000, users=["ann"])
    await desk.open_account("a2", 70, postpaid=True)
    await desk.open_account("a3")
    await desk.post("a3", -9)  # not relayed: contained all the same
    await worker.report(interim("s-1", "ann", EVENT, 1_000_000))
    await settler.settle_once(10)
    await conn.execute(
        "UPDATE customer_billing_accounts SET status = 'suspended', minimum_balance_micros = 3"
        " WHERE account_id = 'a1'"
    )
    await conn.execute(
        "UPDATE customer_billing_accounts SET status = 'closed' WHERE account_id = 'a3'"
    )
    async with conn.transaction():
        found = {a.account: a for a in await all_of(restored.accounts(conn, 5))}
    assert {name: (a.balance, a.moved) for name, a in found.items()} == {
        "a1": (3_000, 3),
        "a2": (70, 2),
        "a3": (-9, 2),
    }
    assert (found["a1"].suspended, found["a1"].closed, found["a1"].minimum) == (True, False, 3)
    assert (found["a3"].suspended, found["a3"].closed) == (False, True)
    assert (found["a1"].credit_limit, found["a2"].credit_limit) == (0, None)
    assert all((a.reserved, a.charged) == (0, 0) for a in found.values())


async def test_no_rating_version_comes_again(desk: Desk, conn: Connection) -> None:
    """Each generation has its own, beyond any that an account of an earlier one can have had."""
    await desk.open_account("a1")
    async with conn.transaction():
        (second,) = await all_of(restored.accounts(conn, 2))
        (third,) = await all_of(restored.accounts(conn, 3))
    assert third.rating_version - second.rating_version == 2**32


async def test_sessions_and_subscribers_in_chunks(
    desk: Desk,
    worker: Worker,
    settler: Settler,
    conn: Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """All of them, whatever their number is beside the size of a chunk."""
    monkeypatch.setattr(restored, "CHUNK", 2)
    users = [f"u{n}" for n in range(5)]
    await desk.open_account("a1", 10**9, users=users)
    await worker.report(*(interim(f"s-{u}", u, EVENT, 1_000_000) for u in users[:4]))
    await settler.settle_once(10)
    async with conn.transaction():
        subscribers = dict(await all_of(restored.subscribers(conn)))
        sessions: list[RestoredSession] = await all_of(
            restored.sessions(conn, interval_seconds=60, quiet_seconds=240)
        )
    assert subscribers == {u: Subscriber("a1", "metered-EUR") for u in users}
    assert sorted(decode_state(s.state).username for s in sessions) == users[:4]
    assert all((s.open, s.quiet, s.account) == (True, 240, "a1") for s in sessions)
    assert all(decode_state(s.state).pace.interval == 60 for s in sessions)
