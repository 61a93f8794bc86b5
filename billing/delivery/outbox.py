"""Queueing messages, each in the transaction that causes it, and what became of them."""

from collections.abc import Iterable, Sequence
from datetime import datetime

import msgspec

from billing.database import Connection
from billing.delivery.message import MessageKind, Values, worded
from billing.documents import loading
from billing.documents.archive import DocumentKind
from billing.documents.wording import wording
from billing.entities import register as entities
from billing.entities.entity import MAIN
from billing.errors import Conflict
from billing.invoices import reading as invoices
from billing.invoices.buyers import buyers_of
from billing.invoices.invoice import Invoice, Kind, Status
from billing.statements import load
from billing.upkeep.jobs import Job, enqueue, enqueue_many

SQL = load(__package__, "queries.sql")


class Message(msgspec.Struct, frozen=True):
    """A message and where it stands: queued, sent, or failed with an error."""

    message_id: int
    account_id: str
    kind: MessageKind
    recipient: str
    subject: str
    document_kind: str | None
    document_id: int | None
    status: str
    attempts: int
    error: str
    created_at: datetime
    sent_at: datetime | None


class _New(msgspec.Struct, frozen=True):
    """A message that is to be queued, with the document that goes with it."""

    account: str
    kind: MessageKind
    entity: str
    language: str
    recipient: str
    values: Values
    document: tuple[DocumentKind, int] | None = None


async def send_invoice(
    conn: Connection,
    invoice_id: int,
    *,
    kind: MessageKind = MessageKind.INVOICE,
    link: str = "",
    now: datetime,
) -> int:
    """Queue an invoice, or a reminder of one; return the message's id.

    `link` is put into the text. Raises NotFound, or Conflict: a draft, or no address is known.
    """
    invoice = await invoices.get(conn, invoice_id, now)
    if invoice.status in (Status.DRAFT, Status.VOID):
        raise Conflict(f"invoice {invoice.number or invoice_id} is {invoice.status}: not sent")
    # Where the customer reads mail today, whatever the document says.
    today = (await buyers_of(conn, [invoice.account]))[invoice.account]
    new = _of_invoice(invoice, kind, today.email or invoice.buyer.email, link)
    return (await _queue(conn, [new], now))[0]


async def send_invoices(conn: Connection, invoice_ids: Iterable[int], *, now: datetime) -> int:
    """Queue invoices that were finalized, in the transaction that did so; return how many.

    Those of customers without an address, or of an entity that does not mail them, are left out.
    """
    wanted = [row[0] for row in await conn.fetch(SQL["with_address"], list(invoice_ids))]
    if not wanted:
        return 0
    known = await invoices.get_many(conn, wanted, now)
    new = [
        _of_invoice(each, MessageKind.INVOICE, each.buyer.email)
        for each in known.values()
        if each.seller.mail_invoices
    ]
    return len(await _queue(conn, new, now))


async def remind(
    conn: Connection, account: str, invoice_id: int, others: int, micros: int, *, now: datetime
) -> int:
    """Queue a reminder of an overdue invoice and of so many later ones, of `micros` in all.

    Returns the message's id. Raises as `send_invoice`.
    """
    invoice = await invoices.get(conn, invoice_id, now)
    today = (await buyers_of(conn, [account]))[account]
    new = _of_invoice(invoice, MessageKind.REMINDER, today.email or invoice.buyer.email)
    values = msgspec.structs.replace(
        new.values,
        left=wording(invoice.language).money(micros, invoice.currency),
        others=str(others) if others else "",
    )
    return (await _queue(conn, [msgspec.structs.replace(new, values=values)], now))[0]


async def send_receipt(conn: Connection, payment_id: int, *, link: str = "", now: datetime) -> int:
    """Queue the receipt of a payment; raises as `send_invoice`."""
    receipt = await loading.receipt(conn, payment_id)
    say = wording(receipt.language)
    values = Values(
        seller=receipt.seller.name,
        name=receipt.buyer.name,
        number=receipt.number,
        total=say.money(receipt.amount_micros, receipt.currency),
        link=link,
    )
    new = _New(
        receipt.account,
        MessageKind.RECEIPT,
        receipt.seller.entity,
        receipt.language,
        receipt.buyer.email,
        values,
        (DocumentKind.RECEIPT, payment_id),
    )
    return (await _queue(conn, [new], now))[0]


async def tell(
    conn: Connection,
    account: str,
    kind: MessageKind,
    micros: int,
    currency: str,
    *,
    entity: str = MAIN,
    now: datetime,
) -> int:
    """Queue word of a low balance, or of a suspension for so much that is to be paid."""
    seller = await entities.get(conn, entity)
    buyer = (await buyers_of(conn, [account]))[account]
    language = loading.language_of(buyer, seller)
    left = wording(language).money(micros, currency)
    values = Values(seller=seller.name, name=buyer.name, left=left)
    new = _New(account, kind, entity, language, buyer.email, values)
    return (await _queue(conn, [new], now))[0]


async def list_(
    conn: Connection,
    *,
    account: str | None = None,
    status: str | None = None,
    limit: int = 100,
    before: int | None = None,
) -> list[Message]:
    """Return the newest messages before an id, of an account or in a status if given."""
    rows = await conn.fetch(SQL["list"], limit, before, account, status)
    return [msgspec.convert(dict(row), Message) for row in rows]


async def send_again(conn: Connection, message_id: int) -> None:
    """Queue a message that failed once more. Raises Conflict if it did not."""
    async with conn.transaction():
        if await conn.fetchval(SQL["requeue"], message_id) is None:
            raise Conflict(f"message {message_id} did not fail: nothing is to be sent again")
        await enqueue(conn, Job.MAIL, payload=str(message_id).encode())


def _of_invoice(invoice: Invoice, kind: MessageKind, recipient: str, link: str = "") -> _New:
    say = wording(invoice.language)
    asks = invoice.kind in (Kind.INVOICE, Kind.PROFORMA) and invoice.left_micros > 0
    values = Values(
        seller=invoice.seller.name,
        name=invoice.buyer.name,
        title=say(invoice.kind),
        number=invoice.number or "",
        total=say.money(invoice.total_micros, invoice.currency),
        left=say.money(invoice.left_micros, invoice.currency),
        due=say.day(invoice.due_on) if asks and invoice.due_on else "",
        link=link,
    )
    assert invoice.invoice_id is not None
    return _New(
        invoice.account,
        kind,
        invoice.seller.entity,
        invoice.language,
        recipient,
        values,
        (DocumentKind.INVOICE, invoice.invoice_id),
    )


async def _queue(conn: Connection, new: Sequence[_New], now: datetime) -> list[int]:
    """Queue messages, all or none, and return their ids."""
    for each in new:
        if not each.recipient:
            raise Conflict(
                f"account {each.account} has no e-mail address: enter one with its customer"
            )
    rows: list[tuple[object, ...]] = []
    for each in new:
        text = worded(each.kind, each.language, each.values)
        rows.append(
            (
                *(each.account, each.kind, each.entity, each.language, each.recipient),
                *(text.subject, text.body, *(each.document or (None, None))),
            )
        )
    if not rows:
        return []
    async with conn.transaction():
        columns = (list(column) for column in zip(*rows, strict=True))
        ids: list[int] = [row[0] for row in await conn.fetch(SQL["insert"], *columns, now)]
        await enqueue_many(conn, Job.MAIL, [str(number).encode() for number in ids])
    return ids
