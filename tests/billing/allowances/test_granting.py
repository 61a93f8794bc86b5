"""Granting an allowance: once for each key, on the audit trail, and never lost by a rebuild."""

from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest

from billing.accounts.account import AccountStatus
from billing.accounts.register import set_status
from billing.allowances.granting import NewGrant, Source, amount_of, grant
from billing.database import Connection, Pool
from billing.errors import Conflict, InvalidInput, NotFound
from billing.rebuild.run import rebuild
from billing.settlement.consumer import Settler
from rating.allowance import Bucket, Unit
from rating.pool import decode_pool
from tests.billing.settlement.world import Books, Desk

GB = 10**9
GIFT = NewGrant("a1", "welcome", Unit.OCTETS, 5 * GB, Source.PROMOTION, "a new customer")


@pytest.fixture(autouse=True)
async def accounts(desk: Desk) -> None:
    await desk.open_account("a1", 10**7, users=["ann"])


async def buckets(books: Books) -> list[Bucket]:
    """What the store has of the account's allowances."""
    [account] = await books.store.accounts(["a1"])
    assert account is not None
    return [] if account.pool is None else decode_pool(account.pool).buckets


async def give(conn: Connection, now: datetime, **changes: Any) -> int:
    """Grant the gift, with changes; returns the number of the grant."""
    new = msgspec.structs.replace(GIFT, **changes)
    return (await grant(conn, new, actor="eve", now=now)).grant_id


async def test_what_is_granted_reaches_the_store_once(
    conn: Connection, books: Books, desk: Desk, now: datetime
) -> None:
    number = await give(conn, now, key="k1", until=now + timedelta(days=30))
    assert await give(conn, now, key="k1") == number
    with pytest.raises(Conflict, match="was used for 5000000000 octets of welcome"):
        await give(conn, now, key="k1", amount=GB)
    await desk.relay()
    [bucket] = await buckets(books)
    assert (bucket.name, bucket.left, bucket.source) == ("welcome", 5 * GB, "promotion")
    assert bucket.until - bucket.since == 30 * 86_400
    event = await conn.fetchrow("SELECT * FROM audit_events WHERE subject = 'allowance_grants'")
    assert event is not None
    assert event["subject_id"] == f"a1 {number}"
    assert b"a new customer" in event["after"]


async def test_what_nobody_rated_yet_survives_a_rebuild(
    conn: Connection, pool: Pool, books: Books, desk: Desk, settler: Settler, now: datetime
) -> None:
    """One that the store has, and one that is on the road; each once, also by a second rebuild."""
    await give(conn, now)
    await desk.relay()
    await give(conn, now, name="on the road", unit=Unit.SECONDS, amount=60)
    for _ in range(2):
        while await settler.settle_once(100):
            pass
        await rebuild(
            *(pool, books.streams, books.streams, books.restoration),
            interval_seconds=300,
            quiet_seconds=900,
        )
        assert await desk.relay() == 0
        assert sorted((each.name, each.left) for each in await buckets(books)) == [
            ("on the road", 60),
            ("welcome", 5 * GB),
        ]


async def test_what_cannot_be_granted_is_refused(conn: Connection, now: datetime) -> None:
    wrong: list[tuple[type[Exception], str, dict[str, Any]]] = [
        (InvalidInput, "0 octets: allowed is 1 to", {"amount": 0}),
        (InvalidInput, "allowed is 1 to", {"amount": 2**53 + 1, "unit": Unit.MONEY}),
        (InvalidInput, "a reason is needed", {"reason": " "}),
        (InvalidInput, "ends after it begins", {"until": now}),
        (InvalidInput, "priority is -1", {"priority": -1}),
        (InvalidInput, "needs a name", {"name": ""}),
        (NotFound, "plan none does not exist", {"plan": "none"}),
        (NotFound, "has no subscriber bob", {"username": "bob"}),
        (NotFound, "a9", {"account": "a9"}),
    ]
    for error, reason, changes in wrong:
        with pytest.raises(error, match=reason):
            await give(conn, now, **changes)
    await set_status(conn, "a1", AccountStatus.CLOSED, now=now)
    with pytest.raises(Conflict, match="closed"):
        await give(conn, now)


@pytest.mark.parametrize(
    ("text", "unit", "amount"),
    [
        ("10 GB", Unit.OCTETS, 10 * GB),
        ("1GiB", Unit.OCTETS, 2**30),
        ("7", Unit.OCTETS, 7),
        ("2 hours", Unit.SECONDS, 7200),
        ("5.00", Unit.MONEY, 5_000_000),
    ],
)
def test_an_amount_is_read(text: str, unit: Unit, amount: int) -> None:
    assert amount_of(text, unit) == amount


@pytest.mark.parametrize("text", ["", "GB", "-1", "1.5 GB", "10 hours", "\u0663 GB"])
def test_what_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match=r"allowed is a number of octets, also with a unit: kB"):
        amount_of(text, Unit.OCTETS)
