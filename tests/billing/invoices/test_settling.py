"""What payments and credit do to an invoice."""

import pytest

from billing.accounts.money import top_up
from billing.database import Connection
from billing.errors import Conflict, NotFound
from billing.invoices import drafts, reading, settling
from billing.invoices.invoice import Status
from billing.ledger.statement import balance
from tests.billing.invoices.books import ledger
from tests.billing.invoices.making import NOW, asked, open_account
from tests.billing.invoices.test_finalizing import issue

TOTAL = 35_690_000


async def test_a_part_leaves_it_open_and_the_rest_pays_it(conn: Connection) -> None:
    await open_account(conn)
    invoice = await issue(conn, asked())
    async with conn.transaction():
        left = await settling.pay(conn, invoice, 5_000_000, actor="test", now=NOW)
        assert (left.status, left.left_micros) == (Status.OPEN, TOTAL - 5_000_000)
        left = await settling.pay(conn, invoice, TOTAL - 5_000_000, actor="test", now=NOW)
        assert (left.status, left.left_micros, left.number) == (Status.PAID, 0, "INV-2026-00001")
    assert (await reading.get(conn, invoice, NOW)).paid_at == NOW


@pytest.mark.parametrize("micros", [0, TOTAL + 10_000, -10_000])
async def test_no_more_is_paid_than_is_left_or_taken_back_than_was_paid(
    conn: Connection, micros: int
) -> None:
    await open_account(conn)
    invoice = await issue(conn, asked())
    with pytest.raises(Conflict, match=r"35.69 are left, and 0.00 were paid"):
        async with conn.transaction():
            await settling.pay(conn, invoice, micros, actor="test", now=NOW)


async def test_nothing_is_left_on_what_is_not_there_or_a_draft(conn: Connection) -> None:
    await open_account(conn)
    draft = await drafts.create(conn, asked(), now=NOW)
    async with conn.transaction():
        with pytest.raises(Conflict, match="is draft: nothing is owed"):
            await settling.left_on(conn, draft)
        with pytest.raises(NotFound):
            await settling.left_on(conn, 10_000)


async def test_the_earliest_due_comes_first(conn: Connection) -> None:
    await open_account(conn)
    later = await issue(conn, asked())
    sooner = await issue(conn, asked(payment_days=3))
    await issue(conn, asked())
    async with conn.transaction():
        due = await settling.due_first(conn, "anna")
    assert [each.invoice_id for each in due][:2] == [sooner, later]
    assert {each.left_micros for each in due} == {TOTAL}


async def test_credit_that_came_later_pays_too_and_the_balance_stays(conn: Connection) -> None:
    await open_account(conn)
    invoice = await issue(conn, asked())
    assert await settling.pay_from_credit(conn, invoice, actor="test", now=NOW) == 0
    before = await balance(conn, "anna")
    await top_up(conn, "anna", 20_000_000, actor="test", now=NOW)
    async with conn.transaction():
        assert (await settling.left_on(conn, invoice)).paid_micros == 20_000_000
    assert await balance(conn, "anna") == before + 20_000_000
    assert sum((await ledger(conn, "anna")).values()) == TOTAL - 20_000_000
    await top_up(conn, "anna", 20_000_000, actor="test", now=NOW)
    with pytest.raises(Conflict, match="is paid: nothing is open"):
        await settling.pay_from_credit(conn, invoice, actor="test", now=NOW)


async def test_a_payment_pays_the_invoices_of_its_account(conn: Connection) -> None:
    await open_account(conn)
    await open_account(conn, "bert")
    documents = settling.InvoiceDocuments()
    invoice = await issue(conn, asked())
    async with conn.transaction():
        assert await documents.left(conn, "anna") == [(invoice, TOTAL)]
        with pytest.raises(Conflict, match="is of account anna, not bert"):
            await documents.take(conn, invoice, "bert", TOTAL, NOW)
        await documents.take(conn, invoice, "anna", TOTAL, NOW)
        assert await documents.left(conn, "anna") == []
        await documents.give_back(conn, invoice, 1_000_000, NOW)
        assert await documents.left(conn, "anna") == [(invoice, 1_000_000)]
