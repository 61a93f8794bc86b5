"""The register of accounts: creating, reading, limiting and suspending them."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import asyncpg
import msgspec

from balances.messages import AnyMovement, OpenAccount, SetLimits, SetStatus
from billing.accounts.account import (
    AccountStatus,
    BillingAccount,
    Particulars,
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

NOTHING_PARTICULAR = Particulars()


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
    particulars: Particulars = NOTHING_PARTICULAR,
    now: datetime,
) -> BillingAccount:
    """Create an account.

    Raises InvalidInput; NotFound for its customer or payer; Conflict if there is one of that id.
    """
    async with conn.transaction():
        await _check_payer(conn, account, currency, particulars)
        created = await conn.fetchval(
            SQL["create"],
            account_id(account),
            currency_code(currency),
            payment_mode,
            credit_limit(credit_limit_micros),
            minimum_balance(minimum_balance_micros),
            now,
            *msgspec.structs.astuple(particulars),
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


async def list_(
    conn: Connection,
    *,
    after: str = "",
    customer: str | None = None,
    status: AccountStatus | None = None,
    currency: str | None = None,
    payment_mode: PaymentMode | None = None,
    limit: int = 1000,
) -> list[BillingAccount]:
    """Return the first `limit` accounts whose id follows `after` and that fit, by id."""
    rows = await conn.fetch(SQL["search"], after, customer, status, currency, payment_mode, limit)
    return [_account(row) for row in rows]


async def lock(conn: Connection, account: str) -> LockedAccount:
    """Take an account's row until the transaction ends, and return it.

    Raises NotFound, or InvalidInput.
    """
    assert conn.is_in_transaction()
    row = await conn.fetchrow(SQL["lock"], account_id(account))
    if row is None:
        raise NotFound(f"account {account} does not exist")
    return LockedAccount(**_common(row))


async def lock_many(conn: Connection, accounts: Iterable[str]) -> dict[str, LockedAccount]:
    """Take the rows of accounts, in one order, until the transaction ends, and return them by id.

    Those that do not exist are missing.
    """
    assert conn.is_in_transaction()
    rows = await conn.fetch(SQL["lock_many"], sorted(set(accounts)))
    return {row["account_id"]: LockedAccount(**_common(row)) for row in rows}


async def set_particulars(
    conn: Connection, account: str, particulars: Particulars, *, revision: int | None = None
) -> BillingAccount:
    """Change how an account is billed.

    Raises NotFound for it, its customer or its payer; Conflict when it is not at `revision` any
    more, or the payer is in another currency, closed, or itself paid for.
    """
    async with conn.transaction():
        held = await lock(conn, account)
        before = await get(conn, account)
        if revision is not None and before.revision != revision:
            raise Conflict(
                f"account {account} is at revision {before.revision}, not {revision}: read it again"
            )
        await _check_payer(conn, account, held.currency, particulars)
        if particulars_of(before) != particulars:
            await conn.execute(
                SQL["set_particulars"], account, *msgspec.structs.astuple(particulars)
            )
        return await get(conn, account)


def particulars_of(account: BillingAccount) -> Particulars:
    """Return what an account says about how it is billed."""
    return Particulars(**{name: getattr(account, name) for name in Particulars.__struct_fields__})


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


async def _check_payer(
    conn: Connection, account: str, currency: str, particulars: Particulars
) -> None:
    """Refuse a customer that does not exist, and a payer that cannot pay for the account."""
    if particulars.customer is not None and not await conn.fetchval(
        SQL["customer_exists"], particulars.customer
    ):
        raise NotFound(f"customer {particulars.customer} does not exist")
    payer = particulars.payer
    if payer is None:
        return
    row = await conn.fetchrow(SQL["payer_of"], payer)
    if row is None:
        raise NotFound(f"account {payer}, which is to pay, does not exist")
    if (
        payer == account
        or row["payer_id"] is not None
        or await conn.fetchval(SQL["pays_for"], account)
    ):
        raise Conflict(f"account {payer} cannot pay for {account}: a payer is not paid for itself")
    if row["currency"] != currency:
        raise Conflict(f"account {payer} is in {row['currency']}, account {account} in {currency}")
    if row["status"] == AccountStatus.CLOSED:
        raise Conflict(f"account {payer}, which is to pay, is closed")


def _status(account: str, status: AccountStatus) -> AnyMovement:
    return SetStatus(
        account,
        UNNUMBERED,
        suspended=status is AccountStatus.SUSPENDED,
        closed=status is AccountStatus.CLOSED,
    )


def _account(row: asyncpg.Record) -> BillingAccount:
    return BillingAccount(
        **_common(row),
        balance_micros=row["balance_micros"],
        created_at=row["created_at"],
        customer=row["customer_id"],
        payer=row["payer_id"],
        time_zone=row["time_zone"],
        language=row["language"],
        payment_days=row["payment_days"],
        auto_pay=row["auto_pay"],
        dunning_excluded=row["dunning_excluded"],
        revision=row["revision"],
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
