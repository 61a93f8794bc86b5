"""The register of subscribers: what is kept, refused and posted to the store."""

import asyncio
from datetime import datetime

import pytest

from balances.messages import AnyMovement, DropSubscriber, PutSubscriber, decode_movement
from billing.accounts import register as accounts
from billing.accounts.account import AccountStatus
from billing.database import Connection, Pool
from billing.errors import Conflict, InvalidInput, NotFound
from billing.sealing.keyring import Keyring
from billing.subscribers import register
from billing.subscribers.login import Bounds, PasswordKind, WhenFull, decode_login
from billing.subscribers.subscriber import SubscriberEntry, password_purpose


@pytest.fixture(autouse=True)
async def alice(conn: Connection, now: datetime) -> None:
    """Two accounts in EUR."""
    for name in ("alice", "bob"):
        await accounts.create(conn, name, "EUR", now=now)


async def posted(conn: Connection, account: str) -> list[AnyMovement]:
    rows = await conn.fetch(
        "SELECT movement FROM store_outbox WHERE account_id = $1 AND sequence > 1"
        " ORDER BY sequence",
        account,
    )
    return [decode_movement(row[0]) for row in rows]


async def add(
    conn: Connection,
    keyring: Keyring,
    now: datetime,
    username: str = "alice@isp",
    account: str = "alice",
    plan: str = "metered",
) -> SubscriberEntry:
    return await register.add(conn, keyring, username, account=account, plan=plan, now=now)


async def test_a_subscriber_that_is_added_is_kept_and_posted(
    conn: Connection, keyring: Keyring, now: datetime
) -> None:
    added = await add(conn, keyring, now)
    assert added == SubscriberEntry("alice@isp", "alice", "metered", False, now)
    assert await register.get(conn, "alice@isp") == added
    assert await posted(conn, "alice") == [PutSubscriber("alice", 2, "alice@isp", "metered")]


async def test_a_password_is_sealed(conn: Connection, keyring: Keyring, now: datetime) -> None:
    added = await register.add(
        conn, keyring, "u", account="alice", plan="metered", password=b"open sesame", now=now
    )
    assert added.has_password
    sealed = await conn.fetchval("SELECT password_sealed FROM subscribers")
    assert b"sesame" not in sealed
    assert keyring.unseal(sealed, password_purpose("u")) == b"open sesame"


async def test_subscribers_of_an_account_are_listed(
    conn: Connection, keyring: Keyring, now: datetime
) -> None:
    for username in ("c", "a", "b"):
        await add(conn, keyring, now, username)
    await add(conn, keyring, now, "d", account="bob")
    listed = await register.list_of(conn, "alice")
    assert [subscriber.username for subscriber in listed] == ["a", "b", "c"]


async def test_what_cannot_be_added_is_refused_and_posts_nothing(
    conn: Connection, keyring: Keyring, now: datetime
) -> None:
    await add(conn, keyring, now)
    with pytest.raises(Conflict, match="alice@isp exists already"):
        await add(conn, keyring, now, account="bob")
    with pytest.raises(NotFound, match="account carol does not exist"):
        await add(conn, keyring, now, "u", account="carol")
    with pytest.raises(NotFound, match="plan gold does not exist"):
        await add(conn, keyring, now, "u", plan="gold")
    with pytest.raises(Conflict, match="plan dollars is in USD, account alice in EUR"):
        await add(conn, keyring, now, "u", plan="dollars")
    with pytest.raises(InvalidInput, match="user name"):
        await add(conn, keyring, now, "")
    await accounts.set_status(conn, "bob", AccountStatus.CLOSED, now=now)
    with pytest.raises(Conflict, match="bob is closed"):
        await add(conn, keyring, now, "u", account="bob")
    assert len(await posted(conn, "alice")) == 1
    assert await register.list_of(conn, "bob") == []


async def test_a_subscriber_that_is_removed_is_gone(
    conn: Connection, keyring: Keyring, now: datetime
) -> None:
    await add(conn, keyring, now)
    await register.remove(conn, "alice@isp", now=now)
    for call in (register.get(conn, "alice@isp"), register.remove(conn, "alice@isp", now=now)):
        with pytest.raises(NotFound, match="alice@isp"):
            await call
    assert (await posted(conn, "alice"))[-1] == DropSubscriber("alice", 3, "alice@isp")


async def test_a_user_name_comes_back_to_its_account_at_once(
    conn: Connection, keyring: Keyring, now: datetime
) -> None:
    await add(conn, keyring, now)
    await register.remove(conn, "alice@isp", now=now)
    await add(conn, keyring, now)
    assert [movement.sequence for movement in await posted(conn, "alice")] == [2, 3, 4]


async def test_a_user_name_comes_to_another_account_once_the_store_knows(
    conn: Connection, keyring: Keyring, now: datetime
) -> None:
    await add(conn, keyring, now)
    await register.remove(conn, "alice@isp", now=now)
    with pytest.raises(Conflict, match="just being removed from account alice; try again"):
        await add(conn, keyring, now, account="bob")
    await conn.execute("DELETE FROM store_outbox WHERE account_id = 'alice'")
    assert (await add(conn, keyring, now, account="bob")).account == "bob"


async def test_many_who_add_and_remove_at_once_neither_block_nor_lose_anything(
    pool: Pool, keyring: Keyring, now: datetime
) -> None:
    async def one(number: int) -> None:
        async with pool.acquire() as conn:
            for _ in range(10):
                try:
                    if number % 2:
                        await add(conn, keyring, now, f"u{number % 3}")
                    else:
                        await register.remove(conn, f"u{number % 3}", now=now)
                except (Conflict, NotFound):
                    pass

    await asyncio.wait_for(asyncio.gather(*(one(number) for number in range(6))), 60)
    async with pool.acquire() as conn:
        known: set[str] = set()
        for movement in await posted(conn, "alice"):
            match movement:
                case PutSubscriber(username=username):
                    assert username not in known
                    known.add(username)
                case DropSubscriber(username=username):
                    known.remove(username)
                case _:
                    raise AssertionError(movement)
        assert {entry.username for entry in await register.list_of(conn, "alice")} == known


async def test_the_password_and_the_bounds_can_be_changed(
    conn: Connection, keyring: Keyring, now: datetime
) -> None:
    await add(conn, keyring, now)
    bounds = Bounds(1, WhenFull.REPLACE, "00-53-00-AA-BB-CC", "pop1", "gold", "198.51.100.7")
    changed = await register.change_login(
        conn,
        keyring,
        "alice@isp",
        password=b"open sesame",
        kind=PasswordKind.NT,
        bounds=bounds,
        now=now,
    )
    assert (changed.has_password, changed.password_kind) == (True, "nt")
    assert (changed.session_limit, changed.when_full, changed.framed_ip) == (
        *(1, "replace", "198.51.100.7"),
    )
    put = (await posted(conn, "alice"))[-1]
    assert isinstance(put, PutSubscriber)
    terms = decode_login(put.login)
    assert (terms.password_kind, terms.bounds) == (PasswordKind.NT, bounds)
    kept = await register.change_login(conn, keyring, "alice@isp", now=now)
    assert kept == changed, "what is not given is left"


async def test_a_login_that_is_not_there_cannot_be_changed(
    conn: Connection, keyring: Keyring, now: datetime
) -> None:
    with pytest.raises(NotFound):
        await register.change_login(conn, keyring, "nobody", now=now)
    await add(conn, keyring, now)
    with pytest.raises(InvalidInput, match="session_limit"):
        await register.change_login(
            conn, keyring, "alice@isp", bounds=Bounds(session_limit=0), now=now
        )
