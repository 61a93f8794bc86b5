"""What is on the road, as staff see it."""

from datetime import datetime, timedelta

import msgspec

from balances.messages import OpenAccount
from billing.accounts import money, register
from billing.database import Connection
from billing.outbox.waiting import Refusal, Waiting, refusals, waiting


async def test_the_road_is_counted_from_its_oldest(conn: Connection, now: datetime) -> None:
    assert await waiting(conn) == Waiting(0, None)
    await register.create(conn, "alice", "EUR", now=now + timedelta(seconds=5))
    await register.create(conn, "bob", "EUR", now=now)
    await money.top_up(conn, "alice", 5, actor="staff", now=now + timedelta(seconds=9))
    assert await waiting(conn) == Waiting(3, now)


async def test_refusals_are_listed_with_what_waits_behind_them(
    conn: Connection, now: datetime
) -> None:
    for name in ("bob", "alice"):
        await register.create(conn, name, "EUR", now=now)
        await money.top_up(conn, name, 5, actor="staff", now=now)
    assert await refusals(conn) == []
    await conn.execute("UPDATE store_outbox SET refusal = 'no' WHERE sequence = 1")
    listed = await refusals(conn)
    assert [refusal.account for refusal in listed] == ["alice", "bob"]
    assert len(await refusals(conn, limit=1)) == 1
    shown = msgspec.json.decode(msgspec.json.encode(listed[0]))
    assert shown["movement"] == msgspec.to_builtins(OpenAccount("alice", 1, "EUR"))
    assert listed[0] == Refusal("alice", 1, "no", listed[0].movement, now, 2)
