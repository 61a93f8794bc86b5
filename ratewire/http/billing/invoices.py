"""Invoices over HTTP, from draft to paid, with their files."""

from datetime import date
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from billing.delivery import outbox
from billing.delivery.message import MessageKind
from billing.documents.archive import DocumentKind, File, Format, fetch
from billing.invoices import drafts, finalizing, lifecycle, reading, settling
from billing.invoices.invoice import Kind, Status
from billing.invoices.reading import Order, Place, Search
from ratewire.http.amounts import Amount, read
from ratewire.http.billing.invoice_forms import (
    InvoiceRequest,
    InvoiceRow,
    InvoiceView,
    invoice_view,
    row_view,
)
from ratewire.http.endpoint import CARE, MONEY, READERS, Call, Nothing, Page, endpoint, number_of
from ratewire.http.problems import BadRequest, Fault


class Invoices(msgspec.Struct, frozen=True):
    """Invoices."""

    data: list[InvoiceRow]
    next: str | None


class InvoicesQuery(Page, frozen=True, rename={"number_begins": "number"}):
    """Which invoices; `number` is how it begins. `sort` due: open ones, the soonest due first."""

    account: str | None = None
    status: Status | None = None
    kind: Kind | None = None
    number_begins: str | None = None
    issued_from: date | None = None
    issued_to: date | None = None
    total_from: Amount | None = None
    total_to: Amount | None = None
    overdue: bool | None = None
    partly_paid: bool | None = None
    sort: Order = Order.NEWEST

    def place(self) -> Place | None:
        """Where the page begins: an id, or a day and an id if sorted by day. Raises BadRequest."""
        if self.cursor is None:
            return None
        if self.sort is Order.NEWEST:
            return Place(number_of(self.cursor))
        day, _, number = self.cursor.partition("_")
        try:
            return Place(number_of(number), date.fromisoformat(day))
        except ValueError as error:
            raise BadRequest(Fault("?cursor", "allowed is the `next` of another page")) from error


class SendRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """As what it is sent, and a link to be put into the text."""

    kind: Literal["invoice", "reminder"] = "invoice"
    link: Annotated[str, Meta(max_length=500)] = ""


class Sent(msgspec.Struct, frozen=True):
    """The message that was queued; `GET billing/messages/` tells what becomes of it."""

    message: int


class XmlQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """In which syntax of EN 16931."""

    syntax: Annotated[str, Meta(pattern="^(cii|ubl)$")] = "ubl"


async def list_(call: Call[InvoicesQuery, Nothing]) -> Invoices:
    """List invoices."""
    query = call.query
    low, high = query.total_from, query.total_to
    found = await reading.search(
        call.conn,
        Search(
            account=query.account,
            status=query.status,
            kind=query.kind,
            number=query.number_begins,
            issued_from=query.issued_from,
            issued_to=query.issued_to,
            total_from_micros=None if low is None else read(low, "total_from"),
            total_to_micros=None if high is None else read(high, "total_to"),
            overdue=query.overdue,
            partly_paid=query.partly_paid,
        ),
        today=call.now.date(),
        limit=query.limit + 1,
        after=query.place(),
        order=query.sort,
    )
    page, more = query.cut(
        found,
        lambda each: (
            each.invoice_id if query.sort is Order.NEWEST else f"{each.due_on}_{each.invoice_id}"
        ),
    )
    return Invoices([row_view(each) for each in page], more)


async def draft(call: Call[Nothing, InvoiceRequest]) -> InvoiceView:
    """Make a draft."""
    made = await drafts.create(
        call.conn, call.body.new(), until=call.body.usage_until, now=call.now
    )
    return invoice_view(await reading.get(call.conn, made, call.now))


async def preview(call: Call[Nothing, InvoiceRequest]) -> InvoiceView:
    """Show what a draft would be."""
    new, until = call.body.new(), call.body.usage_until
    return invoice_view(await drafts.preview(call.conn, new, until=until, now=call.now))


async def get(call: Call[Any, Any]) -> InvoiceView:
    """Read one."""
    return invoice_view(await reading.get(call.conn, _id(call), call.now))


async def change(call: Call[Nothing, InvoiceRequest]) -> InvoiceView:
    """Make a draft what the request says."""
    new = call.body.new()
    await drafts.change(call.conn, _id(call), new, revision=call.revision, now=call.now)
    return await get(call)


async def remove(call: Call[Nothing, Nothing]) -> None:
    """Delete a draft; void what is finalized."""
    invoice = await reading.get(call.conn, _id(call), call.now)
    if invoice.status is Status.DRAFT:
        await drafts.delete(call.conn, _id(call), now=call.now)
    else:
        await lifecycle.void(call.conn, _id(call), actor=call.actor, now=call.now)


async def finalize(call: Call[Nothing, Nothing]) -> InvoiceView:
    """Freeze a draft, book it, number it."""
    await finalizing.finalize(call.conn, _id(call), actor=call.actor, now=call.now)
    return await get(call)


async def void(call: Call[Nothing, Nothing]) -> InvoiceView:
    """Void an open one."""
    await lifecycle.void(call.conn, _id(call), actor=call.actor, now=call.now)
    return await get(call)


async def reissue(call: Call[Nothing, Nothing]) -> InvoiceView:
    """Void an open one, and return a draft in its place."""
    made = await lifecycle.reissue(call.conn, _id(call), actor=call.actor, now=call.now)
    return invoice_view(await reading.get(call.conn, made, call.now))


async def mark_uncollectible(call: Call[Nothing, Nothing]) -> InvoiceView:
    """Write off what is left of an open one."""
    await lifecycle.mark_uncollectible(call.conn, _id(call), actor=call.actor, now=call.now)
    return await get(call)


async def pay(call: Call[Nothing, Nothing]) -> InvoiceView:
    """Pay an open one from the account's credit."""
    await settling.pay_from_credit(call.conn, _id(call), actor=call.actor, now=call.now)
    return await get(call)


async def send(call: Call[Nothing, SendRequest]) -> Sent:
    """Queue one as a message to the customer."""
    message = await outbox.send_invoice(
        call.conn,
        _id(call),
        kind=MessageKind(call.body.kind),
        link=call.body.link,
        now=call.now,
    )
    return Sent(message)


async def pdf(call: Call[Nothing, Nothing]) -> File:
    """Return one as PDF."""
    return await _file(call, Format.PDF)


async def xml(call: Call[XmlQuery, Nothing]) -> File:
    """Return one as an e-invoice."""
    return await _file(call, Format(call.query.syntax))


def _id(call: Call[Any, Any]) -> int:
    return int(call.path["invoice_id"])


async def _file(call: Call[Any, Any], form: Format) -> File:
    documents, kind = call.system.documents, DocumentKind.INVOICE
    return await fetch(call.conn, documents, kind, _id(call), form, now=call.now)


_ALL = "billing/invoices/"
_ONE = "billing/invoices/{invoice_id}"
_VERBS = (
    ("finalize", "Freeze a draft, book it, and give it its number and date", finalize),
    ("void", "Void an open invoice; it keeps its number", void),
    ("mark_uncollectible", "Write off what is left of an invoice", mark_uncollectible),
    ("pay", "Pay an invoice from the account's credit, as far as there is any", pay),
)

ENDPOINTS = (
    endpoint(
        "POST",
        _ALL,
        "Make a draft",
        draft,
        roles=MONEY,
        body=InvoiceRequest,
        answer=InvoiceView,
        status=201,
    ),
    endpoint(
        "GET", _ALL, "List invoices", list_, roles=READERS, query=InvoicesQuery, answer=Invoices
    ),
    endpoint(
        "POST",
        "billing/invoices/preview",
        "Show what a draft would be; nothing is written",
        preview,
        roles=CARE,
        body=InvoiceRequest,
        answer=InvoiceView,
    ),
    endpoint("GET", _ONE, "Read an invoice", get, roles=READERS, answer=InvoiceView),
    endpoint(
        "PUT",
        _ONE,
        "Replace a draft; its usage stays",
        change,
        roles=MONEY,
        body=InvoiceRequest,
        answer=InvoiceView,
    ),
    endpoint(
        "DELETE",
        _ONE,
        "Delete a draft, or void a finalized invoice",
        remove,
        roles=MONEY,
        answer=None,
        status=204,
    ),
    *(
        endpoint("POST", f"{_ONE}/{verb}", summary, handler, roles=MONEY, answer=InvoiceView)
        for verb, summary, handler in _VERBS
    ),
    endpoint(
        "POST",
        f"{_ONE}/reissue",
        "Void an invoice, and make a draft with its lines in its place",
        reissue,
        roles=MONEY,
        answer=InvoiceView,
        status=201,
    ),
    endpoint(
        "POST",
        f"{_ONE}/send",
        "Send an invoice by e-mail",
        send,
        roles=CARE,
        body=SendRequest,
        answer=Sent,
        status=202,
    ),
    endpoint(
        "GET",
        f"{_ONE}/pdf",
        "Read an invoice as PDF, with the e-invoice in it (Factur-X)",
        pdf,
        roles=READERS,
        answer=File,
        media_types=("application/pdf",),
    ),
    endpoint(
        "GET",
        f"{_ONE}/xml",
        "Read an invoice as e-invoice (EN 16931)",
        xml,
        roles=READERS,
        query=XmlQuery,
        answer=File,
        media_types=("application/xml",),
    ),
)
