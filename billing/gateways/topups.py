"""Accounts that are topped up by themselves: when their balance is low, or every so many days.

One attempt at a time for an account. A payment that failed is tried again after a day, after three,
after five and after seven more, and then given up until somebody sets the top-up anew.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, Protocol

import msgspec
import structlog

from balances.messages import AccountAudit
from billing.accounts.register import lock, refuse_closed
from billing.database import Connection, Pool
from billing.errors import BillingError, Conflict, InvalidInput, NotFound
from billing.payments import methods
from billing.payments.gateway import Gateway, collect
from billing.payments.payment import Payment, PaymentStatus, payable
from billing.payments.register import NewPayment
from billing.sealing.keyring import Keyring
from billing.statements import load
from rating.money import MAX_MICROS

SQL = load(__package__, "queries.sql")

_log = structlog.get_logger(__name__)

#: Between two top-ups of an account by threshold: money is on its way to the store meanwhile.
APART: Final = timedelta(seconds=60)

#: After a payment that failed, by how many have failed in a row.
RETRIES: Final = tuple(timedelta(days=days) for days in (1, 3, 5, 7))

_AT_ONCE: Final = 500


class Audits(Protocol):
    """Whoever knows what accounts have just now."""

    async def inspect(self, accounts: Sequence[str]) -> list[AccountAudit | None]:
        """Return accounts as they are; None where there is none."""
        ...


class AutoTopup(msgspec.Struct, frozen=True):
    """How an account is topped up (micros): below a threshold, or every so many days.

    `try_at` is when the next may be; None: given up after `failures` in a row.
    """

    account: str
    method_id: int
    amount_micros: int
    below_micros: int | None
    every_days: int | None
    try_at: datetime | None
    failures: int


async def set_(
    conn: Connection,
    account: str,
    method_id: int,
    micros: int,
    *,
    below_micros: int | None = None,
    every_days: int | None = None,
    now: datetime,
) -> AutoTopup:
    """Have an account topped up from now on.

    Raises NotFound; InvalidInput; Conflict when the account is closed, or the method another's.
    """
    if (below_micros is None) == (every_days is None):
        raise InvalidInput("a top-up is either below a threshold or every so many days")
    if below_micros is not None and not -MAX_MICROS <= below_micros <= MAX_MICROS:
        raise InvalidInput("a threshold beyond what an account can have")
    if every_days is not None and not 1 <= every_days <= 366:
        raise InvalidInput(f"every {every_days} days: allowed are 1 to 366")
    async with conn.transaction():
        held = await lock(conn, account)
        refuse_closed(held)
        payable(micros, held.currency)
        if (await methods.get(conn, method_id)).account != account:
            raise Conflict(f"payment method {method_id} is another account's")
        await conn.execute(
            SQL["set_topup"], account, method_id, micros, below_micros, every_days, now
        )
        return await get(conn, account)


async def get(conn: Connection, account: str) -> AutoTopup:
    """Return how an account is topped up. Raises NotFound."""
    row = await conn.fetchrow(SQL["get_topup"], account)
    if row is None:
        raise NotFound(f"account {account} is not topped up by itself")
    return AutoTopup(
        row["account_id"],
        row["method_id"],
        row["amount_micros"],
        row["below_micros"],
        row["every_days"],
        row["try_at"],
        row["failures"],
    )


async def drop(conn: Connection, account: str) -> None:
    """Top an account up by itself no more. Raises NotFound."""
    if await conn.fetchval(SQL["drop_topup"], account) is None:
        raise NotFound(f"account {account} is not topped up by itself")


async def run(
    pool: Pool,
    audits: Audits,
    gateways: Mapping[str, Gateway],
    keyring: Keyring,
    now: datetime,
) -> list[Payment]:
    """Top up whoever it is time for; return the payments that were tried.

    Raises StoreError when the store does not tell what accounts have.
    """
    tried: list[Payment] = []
    last = ""
    while rows := await pool.fetch(SQL["topups_due"], now, last, _AT_ONCE):
        last = rows[-1]["account_id"]
        found = await audits.inspect([row["account_id"] for row in rows])
        for row, audit in zip(rows, found, strict=True):
            below = row["below_micros"]
            if below is not None and not _poor(audit, below):
                continue
            payment = await _top_up(pool, row["account_id"], gateways, keyring, now)
            if payment is not None:
                tried.append(payment)
    return tried


def _poor(audit: AccountAudit | None, below: int) -> bool:
    return audit is not None and audit.account.balance < below


async def _top_up(
    pool: Pool, account: str, gateways: Mapping[str, Gateway], keyring: Keyring, now: datetime
) -> Payment | None:
    """Try the next payment of an account, unless another process does; None: none was tried."""
    async with pool.acquire() as conn:
        # A payment under way is not tried again: `topups_due` leaves it out until it has ended.
        row = await conn.fetchrow(SQL["claim_topup"], account, now, now + APART)
        if row is None:
            return None
        try:
            method = await methods.get(conn, row["method_id"])
            token = await methods.token(conn, keyring, row["method_id"])
        except BillingError as error:
            return await _give_up(conn, account, row["failures"], str(error))
    gateway = gateways.get(method.gateway)
    new = NewPayment(
        account,
        row["amount_micros"],
        method.kind,
        method_id=method.method_id,
        description="Automatic top-up",
        key=f"auto-topup-{row['attempts']}-{row['created_at'].timestamp():.0f}",
    )
    try:
        if gateway is None:
            raise Conflict(f"gateway {method.gateway} is not set up")
        received = await collect(pool, gateway, new, token=token, actor="auto-topup", now=now)
    except BillingError as error:
        async with pool.acquire() as conn:
            return await _give_up(conn, account, row["failures"], str(error))
    payment, failures = received.payment, 0
    after: datetime | None = now + APART
    by_calendar: datetime | None = row["try_at"] if row["every_days"] is not None else None
    if payment.status is PaymentStatus.FAILED:
        failures = int(row["failures"]) + 1
        after = now + RETRIES[failures - 1] if failures <= len(RETRIES) else None
        _log.warning("an automatic top-up failed", account=account, why=payment.failure)
    elif by_calendar is not None:
        after = by_calendar
    await pool.execute(SQL["topup_ended"], account, after, failures)
    return payment


async def _give_up(conn: Connection, account: str, failures: int, why: str) -> None:
    _log.error("an automatic top-up is not possible", account=account, why=why)
    await conn.execute(SQL["topup_ended"], account, None, failures + 1)
