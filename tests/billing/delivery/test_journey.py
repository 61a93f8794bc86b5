"""From usage to the money given back, on real parts: store, Postgres, typst, SMTP."""

from billing.credit_notes import reading as credit_notes
from billing.credit_notes.credit import CreditedPart, NewCreditNote
from billing.credit_notes.issuing import issue
from billing.database import Connection, Pool
from billing.delivery import outbox
from billing.delivery.sending import Mailer, Smtp
from billing.documents import content, typesetting
from billing.documents.archive import DocumentKind, Format, fetch
from billing.documents.storage import FileStorage
from billing.invoices import drafts, reading
from billing.invoices.finalizing import finalize
from billing.invoices.invoice import NewInvoice, Status
from billing.ledger.chart import Ledger
from billing.ledger.statement import balance
from billing.payments.payment import Method
from billing.payments.refunds import refund
from billing.payments.register import NewPayment, receive
from billing.settlement.consumer import Settler
from tests.billing.delivery.conftest import Post
from tests.billing.documents.test_typesetting import text_of
from tests.billing.invoices.books import ledger, prove
from tests.billing.invoices.making import LATER, NOW, fee
from tests.billing.settlement.fixtures import books, desk, settler, worker
from tests.billing.settlement.making import EVENT
from tests.billing.settlement.worker import Worker, interim
from tests.billing.settlement.world import Desk, keep_plan, metered

__all__ = ["books", "desk", "settler", "worker"]


async def test_from_usage_to_the_refund(
    conn: Connection, pool: Pool, storage: FileStorage, smtp: Smtp, post: Post,
    desk: Desk, worker: Worker, settler: Settler,
) -> None:  # fmt: skip
    await keep_plan(conn, metered("EUR"))
    await desk.open_account("carl", postpaid=True, users=["carl"])
    await conn.execute(
        "UPDATE customer_billing_accounts SET customer_id = 'anna' WHERE account_id = 'carl'"
    )
    await worker.report(interim("s1", "carl", EVENT, 12_345_678_000))
    while await settler.settle_once(100):
        pass
    # A draft of fees and usage, as it was previewed; and then the invoice.
    new = NewInvoice(account="carl", lines=(fee(),), usage=True)
    preview = await drafts.preview(conn, new, until=LATER, now=NOW)
    draft = await drafts.create(conn, new, until=LATER, now=NOW)
    final = await finalize(conn, draft, actor="test", now=NOW)
    invoice = await reading.get(conn, draft, NOW)
    assert (invoice.lines, invoice.total_micros) == (preview.lines, preview.total_micros)
    # 29.99 + 24.691356 rounded to 24.69, and 19 % of 54.68
    assert (invoice.net_micros, invoice.tax_micros) == (54_680_000, 10_390_000)
    # The PDF, read back and looked at.
    file = await fetch(conn, storage, DocumentKind.INVOICE, draft, Format.PDF, now=NOW)
    assert final.number in text_of(file.octets)
    assert "65.07" in text_of(file.octets)
    [picture] = typesetting.picture("document", content.of_invoice(invoice))
    assert picture.startswith(b"\x89PNG")
    assert len(picture) > 20_000
    # It reaches the customer.
    message = await outbox.send_invoice(conn, draft, now=NOW)
    assert await Mailer(pool, storage, smtp, 3).deliver(message, NOW)
    [attachment] = post.messages[0].iter_attachments()
    assert attachment.get_content() == file.octets
    # It is paid, credited in part, and the credit is paid out.
    paid = NewPayment(account="carl", amount_micros=65_070_000, method=Method.BANK_TRANSFER)
    received = await receive(conn, paid, actor="test", now=NOW)
    payment = received.payment.payment_id
    assert (await reading.get(conn, draft, NOW)).status is Status.PAID
    assert await balance(conn, "carl") == 0
    note = NewCreditNote(
        invoice_id=draft, reason="Outage", lines=(CreditedPart(1, 11_900_000),),
        refund_micros=11_900_000,
    )  # fmt: skip
    issued = await credit_notes.get(conn, await issue(conn, note, actor="test", now=NOW))
    assert (issued.net_micros, issued.refund_micros) == (10_000_000, 11_900_000)
    assert await balance(conn, "carl") == 11_900_000
    await refund(conn, payment, 11_900_000, reason="Outage", actor="test", now=NOW)
    assert await balance(conn, "carl") == 0
    await prove(conn)
    assert await ledger(conn) == {
        Ledger.CASH: 65_070_000 - 11_900_000,
        Ledger.REVENUE: -29_990_000 - 24_691_356 + 10_000_000,
        Ledger.TAX: -10_390_000 + 1_900_000,
        Ledger.ROUNDING: 1_356,
    }
    [tax] = await reading.tax_report(conn, "main", NOW.date(), NOW.date())
    assert (tax.base_micros, tax.tax_micros) == (44_680_000, 8_490_000)
