"""A parked account keeps its first reason, and is listed until it is released."""

from datetime import datetime

from billing.accounts import register as accounts
from billing.cycles import parking
from billing.database import Connection


async def test_an_account_is_parked_once_and_keeps_its_first_reason(
    conn: Connection, now: datetime
) -> None:
    for name in ("a", "b"):
        await accounts.create(conn, name, "EUR", now=now)
        await parking.park(conn, name, "the first reason", None, now)
    await parking.park(conn, "a", "another", None, now)
    listed = await parking.list_(conn)
    assert [(each.account, each.reason) for each in listed] == [
        ("a", "the first reason"),
        ("b", "the first reason"),
    ]
    assert await parking.list_(conn, after="a", limit=5) == listed[1:]
    await parking.release(conn, "a", note="looked at", actor="eve", now=now)
    assert await parking.list_(conn) == listed[1:]
    await parking.park(conn, "a", "again", None, now)
    assert [each.reason for each in await parking.list_(conn)] == ["again", "the first reason"]
