"""Refunds: money of a payment that goes back to who paid it."""

from datetime import datetime

import asyncpg
import msgspec

from billing.accounts.account import idempotency_key
from billing.accounts.moving import move, require_available
from billing.accounts.register import LockedAccount
from billing.database import Connection
from billing.errors import Conflict, InvalidInput
from billing.ledger.chart import Ledger
from billing.ledger.statement import credit
from billing.ledger.transaction import Kind, transfer
from billing.payments.payment import Payment, PaymentStatus, payable, text
from billing.payments.register import hold
from billing.statements import load
from rating.money import format_micros

SQL = load(__package__, "queries.sql")


class Refund(msgspec.Struct, frozen=True):
    """Money of a payment that went back (micros)."""

    refund_id: int
    payment_id: int
    amount_micros: int
    reason: str
    gateway_reference: str | None
    actor: str
    refunded_at: datetime


class Refunded(msgspec.Struct, frozen=True):
    """What asking for a refund did. `repeated`: it had been done before, under this key."""

    refund: Refund
    repeated: bool


async def refund(
    conn: Connection,
    payment_id: int,
    micros: int | None = None,
    *,
    reason: str,
    gateway_reference: str | None = None,
    key: str | None = None,
    forced: bool = False,
    actor: str,
    now: datetime,
) -> Refunded:
    """Give a part of a payment back; None: all that can be.

    It comes off the account's credit: money that stands on an invoice is credit again only once the
    invoice is credited, or the payment taken off it. Once for each idempotency key, and for each
    reference of a gateway. `forced`: the money is gone, whatever the account has. Raises NotFound;
    InvalidInput; Conflict when the payment has less to give back, the account less available, or
    when the key was used for another amount.
    """
    idempotency_key(key)
    if not text(reason, "reason").strip():
        raise InvalidInput("a refund needs a reason")
    async with conn.transaction():
        held, payment = await hold(conn, payment_id)
        if key is not None:
            earlier = await under_key(conn, payment_id, key, micros)
            if earlier is not None:
                return Refunded(earlier, repeated=True)
        if gateway_reference is not None:
            row = await conn.fetchrow(SQL["refund_of_gateway"], payment_id, gateway_reference)
            if row is not None:
                return Refunded(refund_of(row), repeated=True)
        wanted = await refundable(conn, held, payment, micros, forced=forced)
        made = transfer(
            Kind.REFUND,
            held.account,
            held.currency,
            wanted,
            debit=Ledger.CUSTOMER_CREDIT,
            credit=payment.method.comes_from,
            actor=actor,
            description=f"Refund of payment {payment_id}: {reason}",
        )
        transaction_id = await move(conn, held, made, -wanted, now)
        refund_id = await conn.fetchval(
            SQL["refund"],
            payment_id,
            wanted,
            reason,
            gateway_reference,
            key,
            actor,
            now,
            transaction_id,
        )
        await conn.execute(SQL["change_sums"], payment_id, 0, wanted, 0, 0)
    made_refund = Refund(refund_id, payment_id, wanted, reason, gateway_reference, actor, now)
    return Refunded(made_refund, repeated=False)


async def under_key(
    conn: Connection, payment_id: int, key: str, micros: int | None
) -> Refund | None:
    """Return the refund that was done under a key. Raises Conflict if it is of another amount."""
    row = await conn.fetchrow(SQL["refund_under_key"], payment_id, key)
    return None if row is None else _same(refund_of(row), micros, key)


async def known(conn: Connection, payment_id: int, gateway_reference: str) -> bool:
    """Return whether a refund that the gateway calls so is booked."""
    row = await conn.fetchrow(SQL["refund_of_gateway"], payment_id, gateway_reference)
    return row is not None


async def refundable(
    conn: Connection,
    held: LockedAccount,
    payment: Payment,
    micros: int | None = None,
    *,
    forced: bool = False,
) -> int:
    """Return how much of a payment goes back (None: all that can), while both are held.

    Raises InvalidInput or Conflict as `refund` does.
    """
    if payment.status is not PaymentStatus.SUCCEEDED:
        raise Conflict(
            f"payment {payment.payment_id} is {payment.status}: there is nothing to refund"
        )
    wanted = payment.refundable_micros if micros is None else micros
    if wanted > payment.refundable_micros or wanted == 0:
        disputed = ", a part of it is disputed" if payment.disputed_micros else ""
        raise Conflict(
            f"payment {payment.payment_id} has"
            f" {format_micros(payment.refundable_micros, payment.currency)}"
            f" {payment.currency} to give back{disputed}"
        )
    payable(wanted, payment.currency)
    if not forced:
        await require_available(conn, held, wanted)
        await _require_credit(conn, held, wanted)
    return wanted


async def of_payment(conn: Connection, payment_id: int) -> list[Refund]:
    """Return the refunds of a payment, oldest first."""
    return [refund_of(row) for row in await conn.fetch(SQL["refunds_of_payment"], payment_id)]


def refund_of(row: asyncpg.Record) -> Refund:
    """Return a row of `refunds` as what it is."""
    return Refund(
        refund_id=row["refund_id"],
        payment_id=row["payment_id"],
        amount_micros=row["amount_micros"],
        reason=row["reason"],
        gateway_reference=row["gateway_reference"],
        actor=row["actor"],
        refunded_at=row["refunded_at"],
    )


async def _require_credit(conn: Connection, held: LockedAccount, micros: int) -> None:
    """What may be used on credit may not be paid out, nor what stands on invoices."""
    has = await credit(conn, held.account)
    if micros > has:
        raise Conflict(
            f"account {held.account} has {format_micros(max(has, 0), held.currency)}"
            f" {held.currency} of credit, not {format_micros(micros, held.currency)}: the rest was"
            " used, or stands on invoices"
        )


def _same(earlier: Refund, micros: int | None, key: str) -> Refund:
    if micros is not None and micros != earlier.amount_micros:
        raise Conflict(
            f"payment {earlier.payment_id}: the key {key!r} was used for a refund of"
            f" {format_micros(earlier.amount_micros)}, not of {format_micros(micros)}"
        )
    return earlier
