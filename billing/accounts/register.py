"""The register of accounts: creating, reading, limiting and suspending them."""

from datetime import datetime
from typing import Any

import asyncpg
import msgspec

from balances.messages import AnyMovement, OpenAccount, SetLimits, SetStatus
from billing.accounts.account import (
    AccountStatus,
    BillingAccount,
    PaymentMode,
    account_id,
    credit_limit,
    currency_code,
    minimum_balance,
)
from billing.database import Connection
from billing.errors import Conflict, NotFound
from billing.outbox.post import UNNUMBERED, post
from billing.statements import load

SQL = load(__package__, "queries.sql")


class LockedAccount(msgspec.Struct, frozen=True):
    """An account whose row is ours until the transaction ends."""

    account: str
    currency: str
    payment_mode: PaymentMode
    status: AccountStatus
    credit_limit_micros: int | None
    minimum_balance_micros: int


async def create(
    conn: Connection,
    account: str,
    currency: str,
    payment_mode: PaymentMode = PaymentMode.PREPAID,
    *,
    credit_limit_micros: int | None = 0,
    minimum_balance_micros: int = 0,
    now: datetime,
) -> BillingAccount:
    """Create an account. Raises InvalidInput, or Conflict if there is one of that id."""
    async with conn.transaction():
        created = await conn.fetchval(
            SQL["create"],
            account_id(account),
            currency_code(currency),
            payment_mode,
            credit_limit(credit_limit_micros),
            minimum_balance(minimum_balance_micros),
            now,
        )
        if created is None:
            raise Conflict(f"account {account} exists already")
        opened = OpenAccount(
            account, UNNUMBERED, currency, credit_limit_micros, minimum_balance_micros
        )
        await post(conn, [opened], now)
        return await get(conn, account)


async def get(conn: Connection, account: str) -> BillingAccount:
    """Return an account. Raises NotFound, or InvalidInput."""
    row = await conn.fetchrow(SQL["get"], account_id(account))
    if row is None:
        raise NotFound(f"account {account} does not exist")
    return _account(row)


async def list_(conn: Connection, *, after: str = "", limit: int = 1000) -> list[BillingAccount]:
    """Return the first `limit` accounts whose id follows `after`, by id."""
    return [_account(row) for row in await conn.fetch(SQL["list"], after, limit)]


async def lock(conn: Connection, account: str) -> LockedAccount:
    """Take an account's row until the transaction ends, and return it.

    Raises NotFound, or InvalidInput.
    """
    assert conn.is_in_transaction()
    row = await conn.fetchrow(SQL["lock"], account_id(account))
    if row is None:
        raise NotFound(f"account {account} does not exist")
    return LockedAccount(**_common(row))


async def set_limits(
    conn: Connection,
    account: str,
    *,
    credit_limit_micros: int | None,
    minimum_balance_micros: int,
    now: datetime,
) -> None:
    """Set the credit limit (None: unlimited) and the balance that must remain.

    Raises InvalidInput or NotFound.
    """
    credit_limit(credit_limit_micros)
    minimum_balance(minimum_balance_micros)
    async with conn.transaction():
        held = await lock(conn, account)
        before = (held.credit_limit_micros, held.minimum_balance_micros)
        if before != (credit_limit_micros, minimum_balance_micros):
            await conn.execute(
                SQL["set_limits"], account, credit_limit_micros, minimum_balance_micros
            )
            moved = SetLimits(account, UNNUMBERED, credit_limit_micros, minimum_balance_micros)
            await post(conn, [moved], now)


async def set_status(
    conn: Connection, account: str, status: AccountStatus, *, now: datetime
) -> None:
    """Suspend an account, let it run again, or close it for good.

    Raises NotFound, or Conflict if it is closed.
    """
    async with conn.transaction():
        held = await lock(conn, account)
        if held.status is status:
            return
        refuse_closed(held)
        await conn.execute(SQL["set_status"], account, status)
        await post(conn, [_status(account, status)], now)


def refuse_closed(account: LockedAccount) -> None:
    """Raise Conflict if an account is closed."""
    if account.status is AccountStatus.CLOSED:
        raise Conflict(f"account {account.account} is closed; open a new one")


def _status(account: str, status: AccountStatus) -> AnyMovement:
    return SetStatus(
        account,
        UNNUMBERED,
        suspended=status is AccountStatus.SUSPENDED,
        closed=status is AccountStatus.CLOSED,
    )


def _account(row: asyncpg.Record) -> BillingAccount:
    return BillingAccount(
        **_common(row), balance_micros=row["balance_micros"], created_at=row["created_at"]
    )


def _common(row: asyncpg.Record) -> dict[str, Any]:
    return {
        "account": row["account_id"],
        "currency": row["currency"],
        "payment_mode": PaymentMode(row["payment_mode"]),
        "status": AccountStatus(row["status"]),
        "credit_limit_micros": row["credit_limit_micros"],
        "minimum_balance_micros": row["minimum_balance_micros"],
    }
