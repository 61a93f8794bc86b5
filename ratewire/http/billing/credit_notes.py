"""Credit notes over HTTP: what is given back of invoices."""

from datetime import date, datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from billing.credit_notes import issuing, reading
from billing.credit_notes.credit import CreditedPart, CreditNote, NewCreditNote
from billing.documents.archive import DocumentKind, File, Format, fetch
from billing.errors import InvalidInput
from billing.invoices.invoice import Buyer
from ratewire.http.amounts import Amount, read, shown
from ratewire.http.billing.invoice_forms import TaxView, rate_view, tax_view
from ratewire.http.billing.invoices import XmlQuery
from ratewire.http.endpoint import MONEY, READERS, Call, Nothing, Page, endpoint


class PartRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How much of a line is to be credited, tax included; null: all that is left of it."""

    line: int
    amount: Amount | None = None


class CreditNoteRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to be credited of an invoice; no lines: all that is left of it.

    It takes off what is still to be paid first. Of the rest, `refund` is to be paid out, and what
    is left then is credit of the account.
    """

    invoice: Annotated[int, Meta(ge=0, le=2**63 - 1)]
    reason: Annotated[str, Meta(min_length=1, max_length=500)]
    lines: Annotated[tuple[PartRequest, ...], Meta(max_length=1000)] = ()
    refund: Amount = "0"


class CreditLineView(msgspec.Struct, frozen=True):
    """What is given back of a line of the invoice."""

    line: int
    invoice_line: int
    description: str
    net: str
    tax: str
    taxes: list[TaxView]


class CreditNoteView(msgspec.Struct, frozen=True, kw_only=True):
    """A credit note. total = offset (against what was to be paid) + credit + refund."""

    id: int
    invoice: int
    invoice_number: str
    account: str
    entity: str
    currency: str
    language: str
    number: str
    issued_on: date
    reason: str
    buyer: Buyer
    lines: list[CreditLineView]
    taxes: list[TaxView]
    net: str
    tax: str
    total: str
    offset: str
    credit: str
    refund: str
    created_at: datetime


class CreditNoteRow(msgspec.Struct, frozen=True, kw_only=True):
    """A credit note in a list."""

    id: int
    invoice: int
    account: str
    currency: str
    number: str
    issued_on: date
    reason: str
    total: str
    offset: str
    credit: str
    refund: str


class CreditNotes(msgspec.Struct, frozen=True):
    """Credit notes, newest first."""

    data: list[CreditNoteRow]
    next: str | None


class CreditNotesQuery(Page, frozen=True):
    """Which credit notes."""

    account: str | None = None
    invoice: Annotated[int, Meta(ge=0, le=2**63 - 1)] | None = None


async def issue(call: Call[Nothing, CreditNoteRequest]) -> CreditNoteView:
    """Credit an invoice."""
    new = call.body
    parts = [
        CreditedPart(
            part.line, None if part.amount is None else read(part.amount, f"lines/{place}/amount")
        )
        for place, part in enumerate(new.lines)
    ]
    refund = read(new.refund, "refund")
    if refund < 0:
        raise InvalidInput(f"refund {new.refund!r}: allowed is 0 or more")
    made = await issuing.issue(
        call.conn,
        NewCreditNote(
            invoice_id=new.invoice, reason=new.reason, lines=tuple(parts), refund_micros=refund
        ),
        actor=call.actor,
        now=call.now,
    )
    return _view(await reading.get(call.conn, made))


async def list_(call: Call[CreditNotesQuery, Nothing]) -> CreditNotes:
    """List credit notes."""
    query = call.query
    found = await reading.list_(
        call.conn,
        account=query.account,
        invoice_id=query.invoice,
        limit=query.limit + 1,
        before=query.number(),
    )
    page, more = query.cut(found, lambda each: each.credit_note_id)
    rows = [
        CreditNoteRow(
            id=each.credit_note_id,
            invoice=each.invoice_id,
            account=each.account_id,
            currency=each.currency,
            number=each.number,
            issued_on=each.issued_on,
            reason=each.reason,
            total=shown(each.total_micros, each.currency),
            offset=shown(each.offset_micros, each.currency),
            credit=shown(each.credit_micros, each.currency),
            refund=shown(each.refund_micros, each.currency),
        )
        for each in page
    ]
    return CreditNotes(rows, more)


async def get(call: Call[Nothing, Nothing]) -> CreditNoteView:
    """Read one."""
    return _view(await reading.get(call.conn, int(call.path["credit_note_id"])))


async def pdf(call: Call[Nothing, Nothing]) -> File:
    """Return one as PDF."""
    number, kind = int(call.path["credit_note_id"]), DocumentKind.CREDIT_NOTE
    return await fetch(call.conn, call.system.documents, kind, number, Format.PDF, now=call.now)


async def xml(call: Call[XmlQuery, Nothing]) -> File:
    """Return one as an e-invoice."""
    number, kind = int(call.path["credit_note_id"]), DocumentKind.CREDIT_NOTE
    form = Format(call.query.syntax)
    return await fetch(call.conn, call.system.documents, kind, number, form, now=call.now)


def _view(note: CreditNote) -> CreditNoteView:
    def money(micros: int) -> str:
        return shown(micros, note.currency)

    return CreditNoteView(
        id=note.credit_note_id,
        invoice=note.invoice_id,
        invoice_number=note.invoice_number,
        account=note.account,
        entity=note.seller.entity,
        currency=note.currency,
        language=note.language,
        number=note.number,
        issued_on=note.issued_on,
        reason=note.reason,
        buyer=note.buyer,
        lines=[
            CreditLineView(
                line.line,
                line.invoice_line,
                line.description,
                money(line.net_micros),
                money(line.tax_micros),
                [TaxView(rate_view(tax.rate), None, money(tax.tax_micros)) for tax in line.taxes],
            )
            for line in note.lines
        ],
        taxes=[tax_view(total, note.currency) for total in note.taxes],
        net=money(note.net_micros),
        tax=money(note.tax_micros),
        total=money(note.total_micros),
        offset=money(note.offset_micros),
        credit=money(note.credit_micros),
        refund=money(note.refund_micros),
        created_at=note.created_at,
    )


_ALL = "billing/credit-notes/"
_ONE = "billing/credit-notes/{credit_note_id}"

ENDPOINTS = (
    endpoint(
        "POST",
        _ALL,
        "Credit an invoice",
        issue,
        roles=MONEY,
        body=CreditNoteRequest,
        answer=CreditNoteView,
        status=201,
    ),
    endpoint(
        "GET",
        _ALL,
        "List credit notes",
        list_,
        roles=READERS,
        query=CreditNotesQuery,
        answer=CreditNotes,
    ),
    endpoint("GET", _ONE, "Read a credit note", get, roles=READERS, answer=CreditNoteView),
    endpoint(
        "GET",
        f"{_ONE}/pdf",
        "Read a credit note as PDF",
        pdf,
        roles=READERS,
        answer=File,
        media_types=("application/pdf",),
    ),
    endpoint(
        "GET",
        f"{_ONE}/xml",
        "Read a credit note as e-invoice (EN 16931)",
        xml,
        roles=READERS,
        query=XmlQuery,
        answer=File,
        media_types=("application/xml",),
    ),
)
