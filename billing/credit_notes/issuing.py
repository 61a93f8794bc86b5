"""Issuing credit notes: computed, booked and numbered in one transaction, like an invoice."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import msgspec

from billing.credit_notes.credit import (
    Credited,
    CreditLine,
    NewCreditNote,
    credit_lines,
)
from billing.database import Connection
from billing.errors import Conflict
from billing.invoices import reading, settling
from billing.invoices.composing import local_day
from billing.invoices.invoice import Invoice, Kind, Status
from billing.invoices.line import LineTax, totals_by_rate
from billing.invoices.numbers import written
from billing.invoices.postings import Entries
from billing.ledger import journal
from billing.ledger.chart import Ledger
from billing.ledger.transaction import Kind as Entry
from billing.ledger.transaction import Transaction
from billing.statements import load
from rating.money import format_micros

SQL = load(__package__, "queries.sql")

_encode: Final = msgspec.json.Encoder().encode
_taxes: Final = msgspec.json.Decoder(tuple[LineTax, ...]).decode


class _Shares(msgspec.Struct, frozen=True):
    """Where the total of a credit note goes."""

    offset: int
    credit: int
    refund: int


async def issue(conn: Connection, new: NewCreditNote, *, actor: str, now: datetime) -> int:
    """Issue a credit note and return its id.

    Raises NotFound, InvalidInput, or Conflict: the document is no invoice that is open or paid, or
    less is left of it than is to be credited or refunded.
    """
    async with conn.transaction():
        left = await settling.left_on(conn, new.invoice_id)
        invoice = await reading.get(conn, new.invoice_id, now)
        if invoice.status not in (Status.OPEN, Status.PAID) or not _creditable(invoice):
            raise Conflict(
                f"invoice {invoice.number} is a {invoice.kind} that is {invoice.status}: nothing is"
                " credited of it"
            )
        lines = credit_lines(invoice, new.lines, await _credited(conn, new.invoice_id))
        total = sum(line.gross_micros for line in lines)
        shares = _shares(invoice, total, left.left_micros, new.refund_micros)
        entries = entries_of(
            invoice.account,
            invoice.currency,
            lines,
            shares.offset,
            shares.credit + shares.refund,
        )
        entry = Transaction(
            Entry.CREDIT_NOTE,
            invoice.account,
            f"credit note of {invoice.number}",
            actor,
            entries.postings(),
        )
        transaction_id = await journal.write(conn, entry, now)
        await settling.credit(conn, new.invoice_id, total, shares.offset, now=now)
        await settling.move_balance(conn, invoice.account, entries.moves_balance_by, now)
        await settling.pay_due_from_credit(
            conn, invoice.account, shares.credit, actor=actor, now=now
        )
        credit_note_id: int = await conn.fetchval(SQL["reserve_id"])
        await _write_lines(conn, credit_note_id, new.invoice_id, lines)
        await _number(conn, credit_note_id, new, invoice, lines, shares, transaction_id, now)
        return credit_note_id


def _creditable(invoice: Invoice) -> bool:
    return invoice.kind in (Kind.INVOICE, Kind.CONSUMPTION, Kind.TOPUP)


async def _credited(conn: Connection, invoice_id: int) -> dict[int, Credited]:
    """What was credited of each line before."""
    parts: defaultdict[int, list[Credited]] = defaultdict(list)
    for row in await conn.fetch(SQL["credited"], invoice_id):
        taxes = tuple(tax.tax_micros for tax in _taxes(row["taxes"]))
        parts[row["invoice_line"]].append(Credited(row["net_micros"], taxes))
    return {
        line: Credited(
            sum(part.net_micros for part in of_line),
            tuple(map(sum, zip(*(part.tax_micros for part in of_line), strict=True))),
        )
        for line, of_line in parts.items()
    }


def _shares(invoice: Invoice, total: int, left: int, refund: int) -> _Shares:
    if total <= 0:
        raise Conflict(f"a credit note of {format_micros(total, invoice.currency)}")
    offset = min(total, left)
    if refund > total - offset:
        raise Conflict(
            f"{format_micros(refund, invoice.currency)} cannot be refunded: of the credit note"
            f" {format_micros(offset, invoice.currency)} go against what is still to be paid,"
            f" {format_micros(total - offset, invoice.currency)} are left"
        )
    return _Shares(offset, total - offset - refund, refund)


def entries_of(
    account: str,
    currency: str,
    lines: Sequence[CreditLine],
    offset_micros: int,
    given_micros: int,
) -> Entries:
    """Return what a credit note books: revenue and tax go back, off what is still to be paid, or to
    the account; what is refunded is the account's until it is paid out.
    """
    entries = Entries(account, currency)
    entries.add(Ledger.RECEIVABLE, -offset_micros)
    entries.add(Ledger.CUSTOMER_CREDIT, -given_micros)
    for line in lines:
        entries.add(Ledger.REVENUE, line.net_micros)
        entries.add(Ledger.TAX, line.tax_micros)
    return entries


async def _write_lines(
    conn: Connection, credit_note_id: int, invoice_id: int, lines: Sequence[CreditLine]
) -> None:
    await conn.copy_records_to_table(
        "credit_note_items",
        columns=(
            *("credit_note_id", "line", "invoice_id", "invoice_line", "description"),
            *("net_micros", "tax_micros", "taxes"),
        ),
        records=[
            (
                credit_note_id,
                line.line,
                invoice_id,
                line.invoice_line,
                line.description,
                line.net_micros,
                line.tax_micros,
                _encode(line.taxes),
            )
            for line in lines
        ],
    )
    rows: list[tuple[Any, ...]] = [
        (
            place,
            total.rate.tax,
            total.rate.jurisdiction,
            total.rate.category,
            total.rate.ppm,
            total.rate.compound,
            total.rate.code,
            total.rate.reason,
            total.base_micros,
            total.tax_micros,
        )
        for place, total in enumerate(totals_by_rate(lines), 1)
    ]
    if rows:
        columns = (list(column) for column in zip(*rows, strict=True))
        await conn.execute(SQL["add_taxes"], credit_note_id, *columns)


async def _number(
    conn: Connection,
    credit_note_id: int,
    new: NewCreditNote,
    invoice: Invoice,
    lines: Sequence[CreditLine],
    shares: _Shares,
    transaction_id: int,
    now: datetime,
) -> None:
    day = local_day(invoice.seller, now)
    look = written(invoice.seller, "credit_note", day.year)
    await conn.execute(SQL["begin_series"], invoice.seller.entity, day.year)
    await conn.execute(
        SQL["issue"],
        credit_note_id,
        invoice.seller.entity,
        day.year,
        day,
        new.invoice_id,
        invoice.account,
        invoice.currency,
        invoice.language,
        new.reason,
        sum(line.net_micros for line in lines),
        sum(line.tax_micros for line in lines),
        shares.offset,
        shares.credit,
        shares.refund,
        _encode(invoice.seller),
        _encode(invoice.buyer),
        transaction_id,
        now,
        look.before,
        look.digits,
        look.after,
    )
