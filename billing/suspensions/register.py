"""The register of suspensions. What it changes reaches the sessions that run by a movement."""

import enum
from datetime import datetime

import msgspec

from billing.accounts import register as accounts
from billing.accounts.account import AccountStatus
from billing.accounts.register import lock, refuse_closed
from billing.database import Connection
from billing.errors import Conflict, InvalidInput
from billing.statements import load

SQL = load(__package__, "queries.sql")


class Cause(enum.StrEnum):
    """Who has an account suspended."""

    STAFF = "staff"
    DUNNING = "dunning"


class Suspension(msgspec.Struct, frozen=True):
    """One suspension of an account; `lifted_at` is None while it holds."""

    cause: Cause
    reason: str
    actor: str
    since: datetime
    lifted_at: datetime | None
    lifted_by: str | None
    lifted_reason: str | None


async def suspend(
    conn: Connection, account: str, cause: Cause, *, reason: str, actor: str, now: datetime
) -> bool:
    """Suspend an account: its sessions are cut, and none begins; False: that cause holds already.

    Raises NotFound, InvalidInput without a reason, or Conflict if the account is closed.
    """
    if not reason.strip():
        raise InvalidInput("a suspension needs a reason")
    async with conn.transaction():
        held = await lock(conn, account)
        refuse_closed(held)
        suspended = held.status is AccountStatus.SUSPENDED
        if suspended and not await conn.fetchval(SQL["holds"], account):
            # By its status alone, before there were causes: that was staff, and stays so.
            await conn.execute(
                SQL["suspend"], account, Cause.STAFF, "suspended before", "unknown", now
            )
        begun = await conn.fetchval(SQL["suspend"], account, cause, reason, actor, now)
        await accounts.set_status(conn, account, AccountStatus.SUSPENDED, now=now)
    return begun is not None


async def lift(
    conn: Connection, account: str, cause: Cause, *, reason: str, actor: str, now: datetime
) -> bool:
    """Lift a suspension; return whether the account may use its service again.

    It may not while another cause holds, or once it is closed. Raises NotFound, or Conflict if it
    is not suspended by that cause.
    """
    async with conn.transaction():
        held = await lock(conn, account)
        by_status = held.status is AccountStatus.SUSPENDED and not await conn.fetchval(
            SQL["holds"], account
        )
        lifted = await conn.fetchval(SQL["lift"], account, cause, now, actor, reason)
        if lifted is None and not (by_status and cause is Cause.STAFF):
            raise Conflict(f"account {account} is not suspended by {cause}")
        if held.status is AccountStatus.CLOSED or await conn.fetchval(SQL["holds"], account):
            return False
        await accounts.set_status(conn, account, AccountStatus.ACTIVE, now=now)
    return True


async def list_(conn: Connection, account: str) -> list[Suspension]:
    """Return the suspensions of an account, those that were lifted too, oldest first."""
    return [
        Suspension(Cause(row["cause"]), *tuple(row)[1:])
        for row in await conn.fetch(SQL["list"], account)
    ]
