"""What payments and credit do to an invoice, and what is left of it.

For whoever takes payments: `due_first` lists what an account owes, `left_on` what is left on one
document, and `pay` takes note of money allocated to it (or taken back, if negative). Whoever calls
books the money itself, in the same transaction: cash to the receivable of the account. Accounts are
held before invoices, always.
"""

from datetime import datetime

import msgspec

from balances.messages import Post
from billing.accounts.register import lock
from billing.database import Connection
from billing.errors import Conflict, NotFound
from billing.invoices.invoice import Kind, Status
from billing.ledger import journal
from billing.ledger.chart import Ledger
from billing.ledger.statement import credit as credit_of
from billing.ledger.transaction import Kind as Entry
from billing.ledger.transaction import Posting, Transaction
from billing.outbox.post import UNNUMBERED, post
from billing.statements import load
from rating.money import format_micros

SQL = load(__package__, "queries.sql")


class Left(msgspec.Struct, frozen=True):
    """What is left to be paid on an invoice; what is written off can still be paid."""

    invoice_id: int
    number: str
    kind: Kind
    account: str
    currency: str
    status: Status
    total_micros: int
    paid_micros: int
    left_micros: int
    written_off_micros: int


class Due(msgspec.Struct, frozen=True):
    """An open invoice with what is left on it."""

    invoice_id: int
    number: str
    left_micros: int


async def due_first(conn: Connection, account: str) -> list[Due]:
    """Return the open invoices of an account, earliest due first, held until the transaction ends.

    The account is held already.
    """
    assert conn.is_in_transaction()
    return [Due(*row.values()) for row in await conn.fetch(SQL["due_first"], account)]


async def left_on(conn: Connection, invoice_id: int) -> Left:
    """Hold an invoice and its account until the transaction ends, and return what is left of it.

    Raises NotFound, or Conflict if it is a draft or void.
    """
    assert conn.is_in_transaction()
    owner = await conn.fetchrow(SQL["accounts_of"], [invoice_id])
    if owner is None:
        raise NotFound(f"invoice {invoice_id} does not exist")
    await lock(conn, owner["account_id"])
    await conn.execute(SQL["hold"], [invoice_id])
    row = await conn.fetchrow(SQL["get"], [invoice_id])
    if row is None:
        raise NotFound(f"invoice {invoice_id} does not exist")
    status = Status(row["status"])
    if status in (Status.DRAFT, Status.VOID):
        raise Conflict(f"invoice {row['number'] or invoice_id} is {status}: nothing is owed on it")
    return Left(
        invoice_id,
        row["number"],
        Kind(row["kind"]),
        row["account_id"],
        row["currency"],
        status,
        row["total_micros"],
        row["paid_micros"],
        row["total_micros"] - row["paid_micros"] - row["offset_micros"],
        row["written_off_micros"],
    )


async def pay(conn: Connection, invoice_id: int, micros: int, *, actor: str, now: datetime) -> Left:
    """Take note of so much paid on an invoice, or taken back (micros < 0); return what is left.

    What was written off becomes owed again, as far as it is paid. The account's balance is the
    caller's to move. Raises NotFound, or Conflict: more than is left, or than was paid.
    """
    left = await left_on(conn, invoice_id)
    if not -left.paid_micros <= micros <= left.left_micros or not micros:
        raise Conflict(
            f"invoice {left.number}: {format_micros(micros, left.currency)} cannot be paid on it;"
            f" {format_micros(left.left_micros, left.currency)} are left, and"
            f" {format_micros(left.paid_micros, left.currency)} were paid"
        )
    recovered = min(left.written_off_micros, max(micros, 0))
    if recovered:
        await _recover(conn, left, recovered, actor, now)
    await conn.execute(SQL["settle"], invoice_id, micros, 0, 0, -recovered, now)
    return await left_on(conn, invoice_id)


async def credit(
    conn: Connection, invoice_id: int, micros: int, offset_micros: int, *, now: datetime
) -> None:
    """Take note of a credit note over so much, some of it off what was still to be paid."""
    await conn.execute(SQL["settle"], invoice_id, 0, micros, offset_micros, 0, now)


class InvoiceDocuments:
    """Invoices as payments see them (billing.payments.documents.Documents)."""

    async def take(
        self, conn: Connection, document_id: int, account: str, micros: int, now: datetime
    ) -> None:
        """Note that so much of an account's invoice is paid. Raises NotFound, or Conflict."""
        left = await left_on(conn, document_id)
        if left.account != account:
            raise Conflict(f"invoice {left.number} is of account {left.account}, not {account}")
        if left.kind is not Kind.INVOICE:
            raise Conflict(f"{left.number}: a {left.kind} is not paid; make the invoice for it")
        await pay(conn, document_id, micros, actor="payment", now=now)

    async def give_back(
        self, conn: Connection, document_id: int, micros: int, now: datetime
    ) -> None:
        """Note that so much is not paid after all: the invoice may be open again."""
        await pay(conn, document_id, -micros, actor="payment", now=now)

    async def left(self, conn: Connection, account: str) -> list[tuple[int, int]]:
        """Return the account's open invoices, soonest due first, with what is left on each."""
        due = await due_first(conn, account)
        return [(each.invoice_id, each.left_micros) for each in due if each.left_micros]


async def pay_due_from_credit(
    conn: Connection, account: str, micros: int, *, actor: str, now: datetime
) -> None:
    """Pay what an account owes, soonest due first, from `micros` of its credit at most.

    For credit that comes in by no payment. The account is held.
    """
    for each in await due_first(conn, account):
        if micros <= 0:
            break
        paid = await pay_from_credit(conn, each.invoice_id, micros, actor=actor, now=now)
        if not paid:
            break
        micros -= paid


async def pay_from_credit(
    conn: Connection, invoice_id: int, at_most: int | None = None, *, actor: str, now: datetime
) -> int:
    """Pay what is left on an open invoice from the account's credit, as far as there is any.

    Returns how much was paid. The balance stays: money moves from one ledger of the account to
    another. Raises NotFound, or Conflict.
    """
    async with conn.transaction():
        left = await left_on(conn, invoice_id)
        if left.status is not Status.OPEN:
            raise Conflict(f"invoice {left.number} is {left.status}: nothing is open on it")
        most = left.left_micros if at_most is None else min(at_most, left.left_micros)
        paying = max(0, min(most, await credit_of(conn, left.account)))
        if paying:
            paid = Transaction(
                Entry.INVOICE,
                left.account,
                f"credit for invoice {left.number}",
                actor,
                (
                    Posting(Ledger.CUSTOMER_CREDIT, left.account, left.currency, paying),
                    Posting(Ledger.RECEIVABLE, left.account, left.currency, -paying),
                ),
            )
            await journal.write(conn, paid, now)
            await pay(conn, invoice_id, paying, actor=actor, now=now)
        return paying


async def _recover(conn: Connection, left: Left, micros: int, actor: str, now: datetime) -> None:
    """What was bad debt is a receivable again."""
    entry = Transaction(
        Entry.WRITE_OFF,
        left.account,
        f"recovered of invoice {left.number}",
        actor,
        (
            Posting(Ledger.RECEIVABLE, left.account, left.currency, micros),
            Posting(Ledger.BAD_DEBT, None, left.currency, -micros),
        ),
    )
    await journal.write(conn, entry, now)
    await move_balance(conn, left.account, -micros, now)


async def move_balance(conn: Connection, account: str, micros: int, now: datetime) -> None:
    """Bring a change of an account's balance to the store."""
    if micros:
        await post(conn, [Post(account, UNNUMBERED, micros)], now)
