"""What is paid is paid by money that is there, once: invoices, beside real ones of a business."""

import pytest

from billing.accounts.money import adjust
from billing.database import Connection
from billing.errors import Conflict
from billing.invoices import drafts, lifecycle, reading
from billing.invoices.finalizing import finalize
from billing.invoices.invoice import Status
from billing.invoices.settling import InvoiceDocuments
from billing.ledger.statement import balance, credit
from billing.payments import chargebacks
from billing.payments.allocation import allocate, allocate_oldest
from billing.payments.chargebacks import ChargebackStatus
from billing.payments.documents import of_document
from billing.payments.payment import Method
from billing.payments.refunds import refund
from billing.payments.register import NewPayment, get, receive
from tests.billing.invoices.making import NOW, asked, fee, open_account, open_business

INVOICES = InvoiceDocuments()
TEN = 10_000_000


@pytest.fixture(autouse=True)
async def anna(conn: Connection) -> None:
    """A postpaid account with unlimited credit, and who bills it."""
    await open_business(conn)
    await open_account(conn)


async def invoiced(conn: Connection, micros: int = TEN) -> int:
    draft = await drafts.create(conn, asked("anna", fee(micros, inclusive=True)), now=NOW)
    await finalize(conn, draft, actor="test", now=NOW)
    return draft


async def pay(conn: Connection, micros: int = TEN, *, on_invoices: bool = True) -> int:
    new = NewPayment("anna", micros, Method.CARD, on_invoices=on_invoices)
    return (await receive(conn, new, actor="staff", now=NOW)).payment.payment_id


async def left(conn: Connection, *invoices: int) -> list[tuple[Status, int]]:
    found = await reading.get_many(conn, invoices, NOW)
    return [(found[each].status, found[each].left_micros) for each in invoices]


async def test_what_comes_pays_what_is_due_unless_staff_keep_it(conn: Connection) -> None:
    first, second = await invoiced(conn), await invoiced(conn)
    kept = await get(conn, await pay(conn, on_invoices=False))
    assert kept.unallocated_micros == TEN
    await pay(conn, 13_000_000)
    assert await left(conn, first, second) == [(Status.PAID, 0), (Status.OPEN, 7_000_000)]
    await adjust(conn, "anna", 2_000_000, reason="goodwill", actor="staff", now=NOW)
    assert await left(conn, second) == [(Status.OPEN, 5_000_000)]
    assert await allocate_oldest(conn, kept.payment_id, "invoice", INVOICES, actor="x", now=NOW)
    assert await left(conn, second) == [(Status.PAID, 0)]
    assert await credit(conn, "anna") == await balance(conn, "anna") == 5_000_000


async def test_credit_that_paid_an_invoice_pays_no_other_and_is_not_refunded(
    conn: Connection,
) -> None:
    payment = await pay(conn)
    first = await invoiced(conn)
    assert await left(conn, first) == [(Status.PAID, 0)]
    assert (await get(conn, payment)).unallocated_micros == 0
    second = await invoiced(conn)
    with pytest.raises(Conflict, match=r"has 0\.00 EUR left"):
        await allocate(conn, payment, "invoice", second, TEN, INVOICES, actor="x", now=NOW)
    with pytest.raises(Conflict, match=r"has 0\.00 EUR of credit, not 10\.00"):
        await refund(conn, payment, reason="wants it back", actor="x", now=NOW)
    assert await left(conn, second) == [(Status.OPEN, TEN)]


async def test_credit_that_was_used_pays_nothing(conn: Connection) -> None:
    payment = await pay(conn)
    await adjust(conn, "anna", -TEN, reason="used", actor="x", now=NOW)
    invoice = await invoiced(conn)
    assert await allocate_oldest(conn, payment, "invoice", INVOICES, actor="x", now=NOW) == []
    with pytest.raises(Conflict, match=r"account anna has 0\.00 EUR of credit left, not 10\.00"):
        await allocate(conn, payment, "invoice", invoice, TEN, INVOICES, actor="x", now=NOW)


async def test_what_credit_paid_is_open_again_when_the_bank_takes_it_back(
    conn: Connection,
) -> None:
    """Also where a part had been refunded: then none of the payment pays anything any more."""
    payment = await pay(conn, 15_000_000)
    invoice = await invoiced(conn)
    [drawn] = await of_document(conn, "invoice", invoice)
    assert (drawn.payment_id, drawn.amount_micros) == (payment, TEN)
    await refund(conn, payment, 5_000_000, reason="too much", actor="x", now=NOW)
    found = await chargebacks.open_(conn, payment, reference="cb", actor="bank", now=NOW)
    lost = ChargebackStatus.LOST
    kinds = {"invoice": INVOICES}
    await chargebacks.close(conn, found.chargeback_id, lost, kinds, actor="bank", now=NOW)
    assert await left(conn, invoice) == [(Status.OPEN, TEN)]
    assert (await credit(conn, "anna"), await balance(conn, "anna")) == (0, -TEN)
    await lifecycle.mark_uncollectible(conn, invoice, actor="x", now=NOW)
    assert await balance(conn, "anna") == 0
