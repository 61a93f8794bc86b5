"""Chargebacks: money that the payer's bank takes back, until it is decided whose it is.

When one is opened, the bank has the money: it moves from cash to `disputed`, and the customer's
credit stays. Won, it comes back to cash. Lost, the customer's account is debited, whatever is
available on it, and what the payment paid is open again.
"""

import enum
from datetime import datetime

import asyncpg
import msgspec

from billing.accounts.moving import move
from billing.accounts.register import LockedAccount
from billing.database import Connection
from billing.errors import Conflict, InvalidInput, NotFound
from billing.invoices.settling import pay_due_from_credit
from billing.ledger import journal
from billing.ledger.chart import Ledger
from billing.ledger.transaction import Kind, Posting, Transaction, transfer
from billing.payments.documents import DocumentKinds, take_off_what_goes
from billing.payments.payment import Payment, PaymentStatus, payable, text
from billing.payments.register import hold
from billing.statements import load
from rating.money import MAX_MICROS, format_micros

SQL = load(__package__, "queries.sql")


class ChargebackStatus(enum.StrEnum):
    """Where a chargeback stands."""

    OPEN = "open"
    WON = "won"
    LOST = "lost"


class Chargeback(msgspec.Struct, frozen=True):
    """A chargeback (micros). `reference` is the bank's or gateway's, unique for the payment."""

    chargeback_id: int
    payment_id: int
    currency: str
    amount_micros: int
    status: ChargebackStatus
    reference: str
    reason: str
    fee_micros: int
    actor: str
    opened_at: datetime
    closed_at: datetime | None


async def open_(
    conn: Connection,
    payment_id: int,
    micros: int | None = None,
    *,
    reference: str,
    reason: str = "",
    actor: str,
    now: datetime,
) -> Chargeback:
    """Note that the bank took a part of a payment back (None: all that is not refunded).

    The same reference again returns the chargeback that is there. Raises NotFound, InvalidInput, or
    Conflict when the payment has less, or the reference is of another amount.
    """
    if not text(reference, "reference"):
        raise InvalidInput("a chargeback needs the bank's reference")
    async with conn.transaction():
        held, payment = await hold(conn, payment_id)
        row = await conn.fetchrow(SQL["chargeback_under_reference"], payment_id, reference)
        if row is not None:
            return _same(chargeback_of(row), micros)
        if payment.status is not PaymentStatus.SUCCEEDED:
            raise Conflict(f"payment {payment_id} is {payment.status}: there is nothing to dispute")
        wanted = payment.refundable_micros if micros is None else micros
        if not 0 < wanted <= payment.refundable_micros:
            raise Conflict(
                f"payment {payment_id} has"
                f" {format_micros(payment.refundable_micros, payment.currency)} {payment.currency}"
                " that is neither refunded nor disputed"
            )
        payable(wanted, payment.currency)
        await _write(
            conn,
            held,
            payment,
            wanted,
            Ledger.DISPUTED,
            payment.method.comes_from,
            actor,
            f"Chargeback {reference} of payment {payment_id} opened",
            now,
        )
        chargeback_id = await conn.fetchval(
            SQL["open_chargeback"],
            payment_id,
            wanted,
            reference,
            text(reason, "reason"),
            actor,
            now,
        )
        await conn.execute(SQL["change_sums"], payment_id, 0, 0, wanted, 0)
    return Chargeback(
        chargeback_id,
        payment_id,
        held.currency,
        wanted,
        ChargebackStatus.OPEN,
        reference,
        reason,
        0,
        actor,
        now,
        None,
    )


async def close(
    conn: Connection,
    chargeback_id: int,
    status: ChargebackStatus,
    documents: DocumentKinds,
    *,
    fee_micros: int = 0,
    actor: str,
    now: datetime,
) -> Chargeback:
    """Note how a chargeback ended, and what the bank asks for it. The same again changes nothing.

    Raises NotFound, InvalidInput, or Conflict if it ended otherwise.
    """
    if status is ChargebackStatus.OPEN or not 0 <= fee_micros <= MAX_MICROS:
        raise InvalidInput("a chargeback ends as won or lost, with a fee of 0 or more")
    async with conn.transaction():
        held, payment = await hold(conn, (await get(conn, chargeback_id)).payment_id)
        found = _of(await conn.fetchrow(SQL["lock_chargeback"], chargeback_id), chargeback_id)
        if found.status is status:
            return found
        if found.status is not ChargebackStatus.OPEN:
            raise Conflict(f"chargeback {chargeback_id} is {found.status} already")
        micros, about = found.amount_micros, f"Chargeback {found.reference} of payment"
        if status is ChargebackStatus.WON:
            await _write(
                conn,
                held,
                payment,
                micros,
                payment.method.comes_from,
                Ledger.DISPUTED,
                actor,
                f"{about} {payment.payment_id} won",
                now,
            )
            await conn.execute(SQL["change_sums"], payment.payment_id, 0, 0, -micros, 0)
        else:
            await _lose(conn, held, payment, found, documents, actor, now)
        if fee_micros:
            await journal.write(conn, _fee(held, fee_micros, actor, found), now)
        await conn.execute(SQL["close_chargeback"], chargeback_id, status, fee_micros, now)
        return await get(conn, chargeback_id)


async def get(conn: Connection, chargeback_id: int) -> Chargeback:
    """Return a chargeback. Raises NotFound."""
    return _of(await conn.fetchrow(SQL["get_chargeback"], chargeback_id), chargeback_id)


async def list_(
    conn: Connection,
    *,
    before: int | None = None,
    status: ChargebackStatus | None = None,
    limit: int = 100,
) -> list[Chargeback]:
    """Return the last chargebacks that fit, newest first; `before` is the last id already known."""
    return [
        chargeback_of(r) for r in await conn.fetch(SQL["list_chargebacks"], before, status, limit)
    ]


async def of_payment(conn: Connection, payment_id: int) -> list[Chargeback]:
    """Return the chargebacks of a payment, oldest first."""
    return [chargeback_of(r) for r in await conn.fetch(SQL["chargebacks_of_payment"], payment_id)]


def chargeback_of(row: asyncpg.Record) -> Chargeback:
    """Return a row of `chargebacks` as what it is."""
    return Chargeback(
        chargeback_id=row["chargeback_id"],
        payment_id=row["payment_id"],
        currency=row["currency"],
        amount_micros=row["amount_micros"],
        status=ChargebackStatus(row["status"]),
        reference=row["reference"],
        reason=row["reason"],
        fee_micros=row["fee_micros"],
        actor=row["actor"],
        opened_at=row["opened_at"],
        closed_at=row["closed_at"],
    )


async def _lose(
    conn: Connection,
    held: LockedAccount,
    payment: Payment,
    lost: Chargeback,
    documents: DocumentKinds,
    actor: str,
    now: datetime,
) -> None:
    """Take the money off the account; what the payment paid is open again, the last one first.

    As far as the account has other credit than that, it pays instead.
    """
    micros = lost.amount_micros
    await take_off_what_goes(conn, held, payment, micros, documents, actor=actor, now=now)
    made = transfer(
        Kind.CHARGEBACK,
        held.account,
        held.currency,
        micros,
        debit=Ledger.CUSTOMER_CREDIT,
        credit=Ledger.DISPUTED,
        actor=actor,
        description=f"Chargeback {lost.reference} of payment {payment.payment_id} lost",
    )
    await move(conn, held, made, -micros, now)
    await conn.execute(SQL["change_sums"], payment.payment_id, 0, 0, -micros, micros)
    await pay_due_from_credit(conn, held.account, MAX_MICROS, actor=actor, now=now)


async def _write(
    conn: Connection,
    held: LockedAccount,
    payment: Payment,
    micros: int,
    debit: Ledger,
    credit: Ledger,
    actor: str,
    description: str,
    now: datetime,
) -> None:
    made = transfer(
        Kind.CHARGEBACK,
        held.account,
        payment.currency,
        micros,
        debit=debit,
        credit=credit,
        actor=actor,
        description=description,
    )
    await journal.write(conn, made, now)


def _fee(held: LockedAccount, micros: int, actor: str, of: Chargeback) -> Transaction:
    postings = (
        Posting(Ledger.PAYMENT_FEES, None, held.currency, micros),
        Posting(Ledger.CASH, None, held.currency, -micros),
    )
    return Transaction(
        Kind.CHARGEBACK, held.account, f"Fee of chargeback {of.reference}", actor, postings
    )


def _of(row: asyncpg.Record | None, chargeback_id: int) -> Chargeback:
    if row is None:
        raise NotFound(f"chargeback {chargeback_id} does not exist")
    return chargeback_of(row)


def _same(earlier: Chargeback, micros: int | None) -> Chargeback:
    if micros is not None and micros != earlier.amount_micros:
        raise Conflict(
            f"payment {earlier.payment_id}: chargeback {earlier.reference} is of"
            f" {format_micros(earlier.amount_micros)}, not of {format_micros(micros)}"
        )
    return earlier
