"""Queueing messages, each in the transaction that causes it, and what became of them."""

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
from billing.invoices.invoice import Kind, Status
from billing.statements import load
from billing.upkeep.jobs import Job, enqueue

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
    # Where the customer reads mail today, whatever the document says.
    today = (await buyers_of(conn, [invoice.account]))[invoice.account]
    return await _queue(
        conn,
        invoice.account,
        kind,
        invoice.seller.entity,
        invoice.language,
        today.email or invoice.buyer.email,
        values,
        (DocumentKind.INVOICE, invoice_id),
        now,
    )


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
    return await _queue(
        conn,
        receipt.account,
        MessageKind.RECEIPT,
        receipt.seller.entity,
        receipt.language,
        receipt.buyer.email,
        values,
        (DocumentKind.RECEIPT, payment_id),
        now,
    )


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
    return await _queue(conn, account, kind, entity, language, buyer.email, values, None, now)


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


async def _queue(
    conn: Connection,
    account: str,
    kind: MessageKind,
    entity: str,
    language: str,
    recipient: str,
    values: Values,
    document: tuple[DocumentKind, int] | None,
    now: datetime,
) -> int:
    if not recipient:
        raise Conflict(f"account {account} has no e-mail address: enter one with its customer")
    text = worded(kind, language, values)
    async with conn.transaction():
        message_id: int = await conn.fetchval(
            SQL["insert"],
            account,
            kind,
            entity,
            language,
            recipient,
            text.subject,
            text.body,
            *(document or (None, None)),
            now,
        )
        await enqueue(conn, Job.MAIL, payload=str(message_id).encode())
    return message_id
