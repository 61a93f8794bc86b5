"""Receiving payments, hearing what became of them, and listing them."""

from datetime import datetime
from typing import Final

import asyncpg
import msgspec

from billing.accounts.account import idempotency_key
from billing.accounts.moving import move
from billing.accounts.register import LockedAccount, lock, refuse_closed
from billing.database import Connection
from billing.errors import Conflict, InvalidInput, NotFound
from billing.invoices.settling import InvoiceDocuments
from billing.ledger.chart import Ledger
from billing.ledger.transaction import Kind, transfer
from billing.payments.documents import put_oldest
from billing.payments.payment import Method, Payment, PaymentStatus, advance, payable, text
from billing.statements import load
from rating.money import format_micros

SQL = load(__package__, "queries.sql")

MANUAL: Final = "manual"

#: What a payment may be when it is first heard of.
_FIRST: Final = frozenset(PaymentStatus) - {PaymentStatus.CANCELLED}


class NewPayment(msgspec.Struct, frozen=True):
    """A payment to be received. See `Payment` for its fields.

    One under a `key`, or with a gateway's reference, is received once. It pays what the account
    owes, soonest due first, unless it is to stay credit (`on_invoices` False).
    """

    account: str
    amount_micros: int
    method: Method
    status: PaymentStatus = PaymentStatus.SUCCEEDED
    currency: str | None = None
    gateway: str = MANUAL
    gateway_reference: str | None = None
    method_id: int | None = None
    reference: str = ""
    description: str = ""
    failure: str = ""
    key: str | None = None
    on_invoices: bool = True


class Received(msgspec.Struct, frozen=True):
    """What receiving a payment did. `repeated`: it had been received before."""

    payment: Payment
    repeated: bool


async def receive(conn: Connection, new: NewPayment, *, actor: str, now: datetime) -> Received:
    """Receive a payment; one that has succeeded is on the account's balance from then on.

    Raises InvalidInput; NotFound for the account; Conflict when the account is closed, in another
    currency, or when the key or the gateway's reference was used for another payment.
    """
    if new.status not in _FIRST:
        raise InvalidInput(f"a payment cannot begin as {new.status}")
    idempotency_key(new.key)
    async with conn.transaction():
        held = await lock(conn, new.account)
        before = await _received_before(conn, new)
        if before is not None:
            return Received(before, repeated=True)
        refuse_closed(held)
        _check(new, held)
        transaction_id = None
        if new.status is PaymentStatus.SUCCEEDED:
            transaction_id = await _book(conn, held, new.method, new.amount_micros, actor, now)
        payment_id = await conn.fetchval(
            SQL["create"],
            new.account,
            held.currency,
            new.amount_micros,
            new.method,
            new.method_id,
            new.status,
            new.gateway,
            new.gateway_reference,
            new.reference,
            new.description,
            new.failure,
            new.key,
            actor,
            now,
            None if transaction_id is None else now,
            transaction_id,
        )
        if payment_id is None:
            raise Conflict(
                f"{new.gateway} payment {new.gateway_reference} was received for another account"
            )
        received = await get(conn, payment_id)
        if new.on_invoices:
            received = await _pay_invoices(conn, held, received, actor, now)
        return Received(received, repeated=False)


async def conclude(
    conn: Connection,
    payment_id: int,
    status: PaymentStatus,
    *,
    failure: str = "",
    gateway_reference: str | None = None,
    on_invoices: bool = True,
    actor: str,
    now: datetime,
) -> Payment:
    """Note what became of a payment that was pending or unknown. The same again changes nothing.

    One that has succeeded pays what the account owes, unless it is to stay credit.
    Raises NotFound, or Conflict if it cannot become that, or the gateway's reference is another's.
    """
    async with conn.transaction():
        held = await lock(conn, (await get(conn, payment_id)).account)
        payment = payment_of(await conn.fetchrow(SQL["lock"], payment_id), payment_id)
        if payment.status is status:
            return payment
        advance(payment.status, status)
        transaction_id = None
        if status is PaymentStatus.SUCCEEDED:
            # Also on an account that was closed meanwhile: the money has come.
            transaction_id = await _book(
                conn, held, payment.method, payment.amount_micros, actor, now
            )
        try:
            await conn.execute(
                SQL["advance"],
                payment_id,
                status,
                text(failure, "failure"),
                gateway_reference,
                None if transaction_id is None else now,
                transaction_id,
            )
        except asyncpg.UniqueViolationError as error:
            raise Conflict(
                f"{payment.gateway} payment {gateway_reference} is that of another payment"
            ) from error
        concluded = await get(conn, payment_id)
        return await _pay_invoices(conn, held, concluded, actor, now) if on_invoices else concluded


async def get(conn: Connection, payment_id: int) -> Payment:
    """Return a payment. Raises NotFound."""
    return payment_of(await conn.fetchrow(SQL["get"], payment_id), payment_id)


async def under_gateway_reference(conn: Connection, gateway: str, reference: str) -> Payment | None:
    """Return the payment that a gateway calls by this reference, if there is one."""
    row = await conn.fetchrow(SQL["under_gateway_reference"], gateway, reference)
    return None if row is None else payment_of(row, row["payment_id"])


async def list_(
    conn: Connection,
    *,
    before: int | None = None,
    account: str | None = None,
    status: PaymentStatus | None = None,
    method: Method | None = None,
    reference: str | None = None,
    since: datetime | None = None,
    limit: int = 100,
) -> list[Payment]:
    """Return the last payments that fit, newest first; `before` is the last id already known.

    `reference` is the payer's or the gateway's.
    """
    rows = await conn.fetch(SQL["list"], before, account, status, method, reference, since, limit)
    return [payment_of(row, row["payment_id"]) for row in rows]


async def hold(conn: Connection, payment_id: int) -> tuple[LockedAccount, Payment]:
    """Take a payment's account and then the payment until the transaction ends. Raises NotFound."""
    held = await lock(conn, (await get(conn, payment_id)).account)
    return held, payment_of(await conn.fetchrow(SQL["lock"], payment_id), payment_id)


def payment_of(row: asyncpg.Record | None, payment_id: int) -> Payment:
    """Return a row of `payments` as what it is. Raises NotFound if there is none."""
    if row is None:
        raise NotFound(f"payment {payment_id} does not exist")
    return Payment(
        payment_id=row["payment_id"],
        account=row["account_id"],
        currency=row["currency"],
        amount_micros=row["amount_micros"],
        method=Method(row["method"]),
        status=PaymentStatus(row["status"]),
        gateway=row["gateway"],
        gateway_reference=row["gateway_reference"],
        reference=row["reference"],
        description=row["description"],
        failure=row["failure"],
        actor=row["actor"],
        created_at=row["created_at"],
        settled_at=row["settled_at"],
        allocated_micros=row["allocated_micros"],
        refunded_micros=row["refunded_micros"],
        disputed_micros=row["disputed_micros"],
        lost_micros=row["lost_micros"],
    )


async def _book(
    conn: Connection, held: LockedAccount, method: Method, micros: int, actor: str, now: datetime
) -> int:
    made = transfer(
        Kind.PAYMENT,
        held.account,
        held.currency,
        micros,
        debit=method.comes_from,
        credit=Ledger.CUSTOMER_CREDIT,
        actor=actor,
        description=f"Payment by {method.replace('_', ' ')}",
    )
    return await move(conn, held, made, micros, now)


async def _pay_invoices(
    conn: Connection, held: LockedAccount, payment: Payment, actor: str, now: datetime
) -> Payment:
    """Put a payment on what its account owes, and return it as it is then."""
    if not await put_oldest(
        conn, held, payment, "invoice", InvoiceDocuments(), actor=actor, now=now
    ):
        return payment
    return await get(conn, payment.payment_id)


async def _received_before(conn: Connection, new: NewPayment) -> Payment | None:
    """The payment that this one is again, under its key or the gateway's reference."""
    row = None
    if new.key is not None:
        row = await conn.fetchrow(SQL["under_key"], new.account, new.key)
    if row is None and new.gateway_reference is not None:
        row = await conn.fetchrow(
            SQL["under_gateway_reference"], new.gateway, new.gateway_reference
        )
    if row is None:
        return None
    earlier = payment_of(row, row["payment_id"])
    then = (earlier.account, earlier.amount_micros, earlier.method, earlier.reference)
    if then != (new.account, new.amount_micros, new.method, new.reference):
        by_key = new.key is not None and row["idempotency_key"] == new.key
        known = f"the key {new.key!r}" if by_key else f"the reference {new.gateway_reference!r}"
        raise Conflict(
            f"account {new.account}: {known} was used for payment {earlier.payment_id} of"
            f" {format_micros(earlier.amount_micros, earlier.currency)} {earlier.currency} by"
            f" {earlier.method}, not for {format_micros(new.amount_micros)} by {new.method}"
        )
    return earlier


def _check(new: NewPayment, held: LockedAccount) -> None:
    if new.currency is not None and new.currency != held.currency:
        raise Conflict(f"account {held.account} is in {held.currency}, not in {new.currency}")
    payable(new.amount_micros, held.currency)
    for name in ("gateway", "reference", "description", "failure"):
        text(getattr(new, name), name)
    if new.gateway_reference is not None:
        text(new.gateway_reference, "gateway_reference")
