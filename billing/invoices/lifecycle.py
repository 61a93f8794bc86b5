"""What becomes of an invoice once it is finalized, other than being paid."""

from datetime import datetime

from billing.database import Connection
from billing.errors import Conflict
from billing.invoices import charges, drafts, postings, reading
from billing.invoices.invoice import Invoice, NewInvoice, Status
from billing.invoices.line import ItemKind, asked_for
from billing.invoices.settling import left_on, move_balance
from billing.ledger import journal
from billing.ledger.chart import Ledger
from billing.ledger.transaction import Kind as Entry
from billing.ledger.transaction import Posting, Transaction
from billing.statements import load

SQL = load(__package__, "queries.sql")


async def void(conn: Connection, invoice_id: int, *, actor: str, now: datetime) -> None:
    """Void an open invoice: it keeps its number, what it booked is taken back, its usage waits.

    Raises NotFound, or Conflict: something of it is paid or credited, or it is not open. A document
    that asked for no money (consumption, top-up, statement) may be voided although it is paid for.
    """
    async with conn.transaction():
        left = await left_on(conn, invoice_id)
        invoice = await reading.get(conn, invoice_id, now)
        _refuse_unvoidable(invoice)
        row = await conn.fetchrow(SQL["get"], [invoice_id])
        assert row is not None
        if row["transaction_id"] is not None:
            booked = [
                Posting(
                    Ledger(each["ledger"]),
                    each["account_id"],
                    each["currency"],
                    each["amount_micros"],
                )
                for each in await conn.fetch(SQL["postings_of"], row["transaction_id"])
            ]
            back = postings.opposite(booked)
            entry = Transaction(Entry.VOID, left.account, f"void {left.number}", actor, back)
            await journal.write(conn, entry, now)
            moved = sum(each.amount_micros for each in back if each.ledger.of_customer)
            await move_balance(conn, left.account, -moved, now)
        await charges.release(conn, [invoice_id])
        await conn.execute(SQL["set_status"], invoice_id, Status.VOID, now, 0)


async def mark_uncollectible(
    conn: Connection, invoice_id: int, *, actor: str, now: datetime
) -> None:
    """Write off what is left of an open invoice, as bad debt; it can still be paid.

    Raises NotFound, or Conflict if it is not open.
    """
    async with conn.transaction():
        left = await left_on(conn, invoice_id)
        if left.status is not Status.OPEN:
            raise Conflict(
                f"invoice {left.number} is {left.status}: only an open one is written off"
            )
        entry = Transaction(
            Entry.WRITE_OFF,
            left.account,
            f"write-off of {left.number}",
            actor,
            (
                Posting(Ledger.BAD_DEBT, None, left.currency, left.left_micros),
                Posting(Ledger.RECEIVABLE, left.account, left.currency, -left.left_micros),
            ),
        )
        await journal.write(conn, entry, now)
        await move_balance(conn, left.account, left.left_micros, now)
        await conn.execute(
            SQL["set_status"], invoice_id, Status.UNCOLLECTIBLE, now, left.left_micros
        )


async def mark_sent(conn: Connection, invoice_id: int, *, now: datetime) -> None:
    """Take note that an invoice was sent; the first time counts."""
    await conn.execute(SQL["mark_sent"], invoice_id, now)


async def reissue(conn: Connection, invoice_id: int, *, actor: str, now: datetime) -> int:
    """Void an invoice and return the id of a draft in its place, with the same lines and usage.

    Raises as `void` does.
    """
    async with conn.transaction():
        invoice = await reading.get(conn, invoice_id, now)
        await void(conn, invoice_id, actor=actor, now=now)
        usage = any(line.kind is ItemKind.USAGE for line in invoice.lines)
        lines = tuple(asked_for(line) for line in invoice.lines if line.kind is not ItemKind.USAGE)
        kept = ("account", "kind", "language", "reference", "note", "payment_days")
        kept += ("period_from", "period_until", "tax_point")
        values = {name: getattr(invoice, name) for name in kept}
        again = NewInvoice(**values, entity=invoice.seller.entity, lines=lines, usage=usage)
        # No further usage than what it had, and what came to be free meanwhile.
        until = await charges.cut_until(conn, invoice.account)
        return await drafts.create(conn, again, until=until, replaces=invoice_id, now=now)


def _refuse_unvoidable(invoice: Invoice) -> None:
    if invoice.status is Status.OPEN or invoice.kind.settled_before:
        if invoice.credited_micros or (invoice.paid_micros and not invoice.kind.settled_before):
            raise Conflict(
                f"invoice {invoice.number} is paid or credited in part: correct it by a credit note"
            )
        if invoice.status is not Status.VOID:
            return
    raise Conflict(f"invoice {invoice.number} is {invoice.status}: only an open one can be voided")
