"""Credit notes: numbered, booked, and never above what is left."""

import asyncio
from datetime import date

import asyncpg
import pytest

from billing.credit_notes import reading
from billing.credit_notes.credit import CreditedPart, NewCreditNote
from billing.credit_notes.issuing import issue
from billing.database import Connection, Pool
from billing.errors import Conflict, NotFound
from billing.invoices import lifecycle, settling
from billing.invoices import reading as invoices
from billing.invoices.invoice import Kind, Status
from billing.ledger.chart import Ledger
from billing.ledger.statement import balance
from tests.billing.invoices.books import ledger, prove
from tests.billing.invoices.making import NOW, asked, fee, open_account, open_business
from tests.billing.invoices.test_finalizing import issue as issue_invoice

TOTAL = 35_690_000


@pytest.fixture(autouse=True)
async def business(conn: Connection) -> None:
    await open_business(conn)
    await open_account(conn)


async def credit(conn: Connection, invoice: int, *parts: CreditedPart, refund: int = 0) -> int:
    new = NewCreditNote(invoice_id=invoice, reason="Outage", lines=parts, refund_micros=refund)
    return await issue(conn, new, actor="test", now=NOW)


async def test_an_unpaid_invoice_is_offset_and_ends_as_paid(conn: Connection) -> None:
    invoice = await issue_invoice(conn, asked())
    first = await reading.get(conn, await credit(conn, invoice, CreditedPart(1, 11_900_000)))
    assert (first.number, first.net_micros, first.tax_micros) == (
        *("CN-2026-00001", 10_000_000, 1_900_000),
    )
    assert (first.offset_micros, first.credit_micros, first.refund_micros) == (11_900_000, 0, 0)
    assert (await invoices.get(conn, invoice, NOW)).left_micros == TOTAL - 11_900_000
    await credit(conn, invoice)
    after = await invoices.get(conn, invoice, NOW)
    assert (after.status, after.credited_micros, after.left_micros) == (Status.PAID, TOTAL, 0)
    assert await ledger(conn) == {}
    assert await balance(conn, "anna") == 0
    with pytest.raises(Conflict, match="nothing is left to be credited"):
        await credit(conn, invoice)
    await prove(conn)


async def test_of_a_paid_invoice_the_money_goes_back(conn: Connection) -> None:
    invoice = await issue_invoice(conn, asked())
    async with conn.transaction():
        await settling.pay(conn, invoice, 30_000_000, actor="test", now=NOW)
    with pytest.raises(Conflict, match=r"30.01 cannot be refunded: .* 5.69 go against"):
        await credit(conn, invoice, refund=30_010_000)
    note = await reading.get(conn, await credit(conn, invoice, refund=20_000_000))
    assert (note.offset_micros, note.credit_micros, note.refund_micros) == (
        *(5_690_000, 10_000_000, 20_000_000),
    )
    assert (await ledger(conn, "anna"))[Ledger.CUSTOMER_CREDIT] == -30_000_000
    assert (await invoices.get(conn, invoice, NOW)).status is Status.PAID
    await prove(conn)


async def test_what_is_no_finalized_invoice_is_not_credited(conn: Connection) -> None:
    proforma = await issue_invoice(conn, asked(kind=Kind.PROFORMA))
    void = await issue_invoice(conn, asked())
    await lifecycle.void(conn, void, actor="test", now=NOW)
    bad = await issue_invoice(conn, asked())
    await lifecycle.mark_uncollectible(conn, bad, actor="test", now=NOW)
    for invoice in (proforma, void, bad):
        with pytest.raises(Conflict):
            await credit(conn, invoice)
    with pytest.raises(NotFound):
        await credit(conn, 10_000)


async def test_many_at_once_credit_no_more_than_there_is(conn: Connection, pool: Pool) -> None:
    invoice = await issue_invoice(conn, asked("anna", fee(10_000_000)))

    async def one() -> bool:
        async with pool.acquire() as own:
            try:
                await credit(own, invoice, CreditedPart(1, 2_000_000))
            except Conflict:
                return False
            return True

    done = await asyncio.gather(*(one() for _ in range(10)))
    assert sum(done) == 5
    await credit(conn, invoice)
    found = await reading.list_(conn, invoice_id=invoice)
    assert [note.number for note in found] == [f"CN-2026-0000{n}" for n in range(6, 0, -1)]
    assert sum(note.total_micros for note in found) == 11_900_000
    await prove(conn)


async def test_a_credit_note_never_changes_and_is_in_the_tax_report(conn: Connection) -> None:
    invoice = await issue_invoice(conn, asked())
    await credit(conn, invoice, CreditedPart(1, 11_900_000))
    for table in ("credit_notes", "credit_note_items", "credit_note_taxes"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await conn.execute(f"DELETE FROM {table}")
    [tax] = await invoices.tax_report(conn, "main", date(2026, 1, 1), date(2026, 12, 31))
    assert (tax.base_micros, tax.tax_micros) == (19_990_000, 3_800_000)
