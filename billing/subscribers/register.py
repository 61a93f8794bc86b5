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
from billing.subscribers.subscriber import (
    SubscriberEntry,
    check_password,
    check_username,
    password_purpose,
)

SQL = load(__package__, "queries.sql")


async def add(
    conn: Connection,
    keyring: Keyring,
    username: str,
    *,
    account: str,
    plan: str,
    password: bytes | None = None,
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
        sealed = keyring.seal(check_password(password), password_purpose(username))
    async with conn.transaction():
        held = await lock(conn, account)
        refuse_closed(held)
        currency = await conn.fetchval(SQL["plan_currency"], plan)
        if currency is None:
            raise NotFound(f"plan {plan} does not exist")
        if currency != held.currency:
            raise Conflict(f"plan {plan} is in {currency}, account {account} in {held.currency}")
        if await conn.fetchval(SQL["add"], username, account, plan, sealed, now) is None:
            raise Conflict(f"subscriber {username} exists already")
        # The store applies each account's movements in order, but not those of two accounts: the
        # old one's drop could come last and take away what is put now.
        former = await conn.fetchval(SQL["still_dropped_from"], username, account)
        if former is not None:
            raise Conflict(
                f"subscriber {username} is just being removed from account {former}; try again"
            )
        await post(conn, [PutSubscriber(account, UNNUMBERED, username, plan)], now)
    return SubscriberEntry(username, account, plan, sealed is not None, now)


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
    return SubscriberEntry(
        row["username"], row["account_id"], row["plan"], row["has_password"], row["created_at"]
    )
