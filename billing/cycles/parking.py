"""Accounts whose history contradicts itself: billed by nobody until a person has released them."""

from datetime import datetime

import msgspec

from billing.accounts.register import lock
from billing.cycles.calendar import local_day
from billing.cycles.schedule import note_change, zone_of
from billing.database import Connection
from billing.errors import NotFound
from billing.statements import load

SQL = load(__package__, "queries.sql")


class Parked(msgspec.Struct, frozen=True):
    """A parked account, why, and the run that found it."""

    account: str
    reason: str
    run: int | None
    parked_at: datetime


async def park(conn: Connection, account: str, reason: str, run: int | None, now: datetime) -> None:
    """Park an account; one that is parked stays so, with its first reason."""
    await conn.execute(SQL["park"], account, reason, run, now)


async def release(conn: Connection, account: str, *, note: str, actor: str, now: datetime) -> None:
    """Let an account be billed again: the next run does. Raises NotFound if it is not parked."""
    async with conn.transaction():
        await lock(conn, account)
        if await conn.fetchval(SQL["release"], account, now, actor, note) is None:
            raise NotFound(f"account {account} is not parked")
        today = local_day(now, await zone_of(conn, account))
        await note_change(conn, account, today, today, now)


async def release_all(conn: Connection, *, note: str, actor: str, now: datetime) -> int:
    """Let all parked accounts be billed again: the next run does. Returns how many those were.

    For a cause that they shared, such as a tax rate that was missing.
    """
    return len(await conn.fetch(SQL["release_all"], now, actor, note))


async def list_(conn: Connection, *, after: str = "", limit: int = 1000) -> list[Parked]:
    """Return the first `limit` parked accounts after one, by name."""
    return [Parked(*row) for row in await conn.fetch(SQL["parked"], after, limit)]
