"""The register of subscribers. Each change reaches the store as a movement of the account."""

from datetime import datetime

import asyncpg

from balances.messages import DropSubscriber, PutSubscriber
from billing.accounts.register import lock, refuse_closed
from billing.database import Connection
from billing.errors import Conflict, NotFound
from billing.outbox.post import UNNUMBERED, post
from billing.sealing.keyring import Keyring
from billing.statements import load
from billing.subscribers.login import (
    NO_BOUNDS,
    Bounds,
    LoginTerms,
    PasswordKind,
    WhenFull,
    check_bounds,
    encode_login,
    sealed_password,
)
from billing.subscribers.subscriber import SubscriberEntry, check_username

SQL = load(__package__, "queries.sql")


async def add(
    conn: Connection,
    keyring: Keyring,
    username: str,
    *,
    account: str,
    plan: str,
    password: bytes | None = None,
    kind: PasswordKind = PasswordKind.CLEAR,
    bounds: Bounds = NO_BOUNDS,
    now: datetime,
) -> SubscriberEntry:
    """Add a subscriber.

    Raises InvalidInput; NotFound for the account or the plan; Conflict when the user name is taken
    (or was a moment ago, and the store does not know yet that it is free), when the account is
    closed, or when the plan is in another currency.
    """
    check_username(username)
    sealed = None
    if password is not None:
        sealed = sealed_password(keyring, username, password, kind)
    check_bounds(bounds)
    terms = encode_login(LoginTerms(kind, sealed, bounds))
    async with conn.transaction():
        held = await lock(conn, account)
        refuse_closed(held)
        currency = await conn.fetchval(SQL["plan_currency"], plan)
        if currency is None:
            raise NotFound(f"plan {plan} does not exist")
        if currency != held.currency:
            raise Conflict(f"plan {plan} is in {currency}, account {account} in {held.currency}")
        added = await conn.fetchval(
            SQL["add"], username, account, plan, sealed, now, kind, *_columns(bounds)
        )
        if added is None:
            raise Conflict(f"subscriber {username} exists already")
        # The store applies each account's movements in order, but not those of two accounts: the
        # old one's drop could come last and take away what is put now.
        former = await conn.fetchval(SQL["still_dropped_from"], username, account)
        if former is not None:
            raise Conflict(
                f"subscriber {username} is just being removed from account {former}; try again"
            )
        await post(conn, [PutSubscriber(account, UNNUMBERED, username, plan, terms)], now)
    return SubscriberEntry(
        username, account, plan, sealed is not None, now, kind, *_columns(bounds)
    )


async def change_login(
    conn: Connection,
    keyring: Keyring,
    username: str,
    *,
    password: bytes | None = None,
    kind: PasswordKind = PasswordKind.CLEAR,
    bounds: Bounds | None = None,
    now: datetime,
) -> SubscriberEntry:
    """Change a subscriber's password, or its bounds, or both; None leaves them.

    The next login goes by it; sessions that run go on. Raises InvalidInput, or NotFound.
    """
    sealed = None
    if password is not None:
        sealed = sealed_password(keyring, check_username(username), password, kind)
    async with conn.transaction():
        account = (await get(conn, username)).account
        await lock(conn, account)
        if sealed is not None:
            await conn.execute(SQL["set_password"], username, sealed, kind)
        if bounds is not None:
            await conn.execute(SQL["set_bounds"], username, *_columns(check_bounds(bounds)))
        await _put_again(conn, account, username, now)
        return await get(conn, username)


async def set_suspended(
    conn: Connection, username: str, *, suspended: bool, now: datetime
) -> SubscriberEntry:
    """Suspend a subscriber, or no more; None of its account's others are.

    The next login goes by it; sessions that run are another matter. Raises NotFound, or Conflict if
    it is so already.
    """
    async with conn.transaction():
        account = (await get(conn, username)).account
        await lock(conn, account)
        if (await get(conn, username)).suspended is suspended:
            raise Conflict(f"subscriber {username} is {'' if suspended else 'not '}suspended")
        await conn.execute(SQL["set_suspended"], username, suspended)
        await _put_again(conn, account, username, now)
        return await get(conn, username)


async def change_plan(
    conn: Connection, username: str, plan: str, *, now: datetime
) -> SubscriberEntry:
    """Put a subscriber on another plan: its next session begins under it.

    Raises NotFound for either, or Conflict if the plan is in another currency.
    """
    async with conn.transaction():
        account = (await get(conn, username)).account
        held = await lock(conn, account)
        currency = await conn.fetchval(SQL["plan_currency"], plan)
        if currency is None:
            raise NotFound(f"plan {plan} does not exist")
        if currency != held.currency:
            raise Conflict(f"plan {plan} is in {currency}, account {account} in {held.currency}")
        await conn.execute(SQL["set_plan"], username, plan)
        await _put_again(conn, account, username, now)
        return await get(conn, username)


async def _put_again(conn: Connection, account: str, username: str, now: datetime) -> None:
    """Tell the store what is kept of a subscriber, if it is served."""
    kept = await conn.fetchrow(SQL["plan_in_force"], username)
    assert kept is not None
    if kept["served"]:
        await post(conn, [await put_as_kept(conn, account, username, kept["plan"])], now)


async def put_as_kept(conn: Connection, account: str, username: str, plan: str) -> PutSubscriber:
    """Return the movement that puts a subscriber on a plan, with what its logins need to know."""
    row = await conn.fetchrow(SQL["login_of"], username)
    text = "" if row is None else login_text(row)
    return PutSubscriber(account, UNNUMBERED, username, plan, text)


def login_text(row: asyncpg.Record) -> str:
    """Return what the store keeps of a row of `login_of`, or one with the same columns."""
    return encode_login(
        LoginTerms(
            PasswordKind(row["password_kind"]),
            row["password_sealed"],
            Bounds(
                row["session_limit"],
                WhenFull(row["when_full"]),
                *(row[name] for name in ("calling_station", "nas", "framed_pool", "framed_ip")),
            ),
            row["suspended"],
        )
    )


def _columns(
    bounds: Bounds,
) -> tuple[int | None, str, str | None, str | None, str | None, str | None]:
    """The bounds in the order of their columns."""
    return (
        bounds.session_limit,
        str(bounds.when_full),
        bounds.calling_station,
        bounds.nas,
        bounds.framed_pool,
        bounds.framed_ip,
    )


async def get(conn: Connection, username: str) -> SubscriberEntry:
    """Return a subscriber. Raises NotFound, or InvalidInput."""
    row = await conn.fetchrow(SQL["get"], check_username(username))
    if row is None:
        raise NotFound(f"subscriber {username} does not exist")
    return _entry(row)


async def list_of(conn: Connection, account: str) -> list[SubscriberEntry]:
    """Return the subscribers of an account, by user name."""
    return [_entry(row) for row in await conn.fetch(SQL["list_of"], account)]


async def remove(conn: Connection, username: str, *, now: datetime) -> None:
    """Remove a subscriber: the user name is not known from then on. Raises NotFound.

    Its sessions that run are charged until they end.
    """
    async with conn.transaction():
        account = (await get(conn, username)).account
        await lock(conn, account)
        if await conn.fetchval(SQL["remove"], username, account) is None:
            raise NotFound(f"subscriber {username} does not exist")
        await post(conn, [DropSubscriber(account, UNNUMBERED, username)], now)


def _entry(row: asyncpg.Record) -> SubscriberEntry:
    names = ("username", "account_id", "plan", "has_password", "created_at", "password_kind")
    bounds = ("session_limit", "when_full", "calling_station", "nas", "framed_pool", "framed_ip")
    return SubscriberEntry(*(row[name] for name in (*names, *bounds, "suspended")))
