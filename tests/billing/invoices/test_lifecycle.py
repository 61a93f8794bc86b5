"""The graph of states, and what each edge books."""

import pytest

from billing.database import Connection
from billing.errors import Conflict
from billing.invoices import drafts, lifecycle, reading, settling
from billing.invoices.invoice import Kind, NewInvoice, Status
from billing.ledger.chart import Ledger
from billing.ledger.statement import balance
from billing.settlement.consumer import Settler
from tests.billing.invoices.books import ledger, prove
from tests.billing.invoices.making import LATER, NOW, asked, open_account
from tests.billing.invoices.test_finalizing import issue, settle
from tests.billing.settlement.making import EVENT
from tests.billing.settlement.worker import Worker, interim
from tests.billing.settlement.world import Desk

TOTAL = 35_690_000


async def status_of(conn: Connection, invoice_id: int) -> Status:
    return (await reading.get(conn, invoice_id, NOW)).status


async def pay(conn: Connection, invoice_id: int, micros: int) -> None:
    async with conn.transaction():
        await settling.pay(conn, invoice_id, micros, actor="test", now=NOW)


async def void(conn: Connection, invoice_id: int) -> None:
    await lifecycle.void(conn, invoice_id, actor="test", now=NOW)


async def write_off(conn: Connection, invoice_id: int) -> None:
    await lifecycle.mark_uncollectible(conn, invoice_id, actor="test", now=NOW)


async def test_a_void_invoice_keeps_its_number_and_books_nothing(conn: Connection) -> None:
    await open_account(conn)
    first = await issue(conn, asked())
    await void(conn, first)
    invoice = await reading.get(conn, first, NOW)
    assert (invoice.status, invoice.number, invoice.voided_at) == (
        *(Status.VOID, "INV-2026-00001", NOW),
    )
    assert await ledger(conn) == {}
    assert await balance(conn, "anna") == 0
    assert (await reading.get(conn, await issue(conn, asked()), NOW)).number == "INV-2026-00002"
    await prove(conn)


async def test_usage_of_a_void_invoice_stands_on_the_one_in_its_place(
    conn: Connection, desk: Desk, worker: Worker, settler: Settler
) -> None:
    await desk.open_account("anna", postpaid=True, users=["anna"])
    await worker.report(interim("s1", "anna", EVENT, 1_234_567_000))
    await settle(settler)
    first = await issue(conn, asked(usage=True))
    await worker.report(interim("s1", "anna", EVENT + 60, 2_234_567_000))
    await settle(settler)
    draft = await lifecycle.reissue(conn, first, actor="test", now=NOW)
    await prove(conn)
    again = await reading.get(conn, draft, NOW)
    assert (again.replaces, len(again.lines)) == (first, 2)
    assert again.lines[1].unit_price_micros == 2_469_134
    assert (await ledger(conn, "anna"))[Ledger.UNBILLED_USAGE] == 2_469_134 + 2_000_000
    await issue(conn, asked(usage=True, lines=()))
    await drafts.delete(conn, draft, now=NOW)
    last = await reading.get(conn, await issue(conn, asked(usage=True, lines=())), NOW)
    assert last.lines[0].unit_price_micros == 2_469_134
    await prove(conn)


async def test_a_consumption_document_can_be_voided_although_it_is_paid_for(
    conn: Connection, desk: Desk, worker: Worker, settler: Settler
) -> None:
    await desk.open_account("pia", 20_000_000, users=["pia"])
    await worker.report(interim("s1", "pia", EVENT, 1_234_567_000))
    await settle(settler)
    before, held = await ledger(conn), await balance(conn, "pia")
    document = await issue(conn, NewInvoice(account="pia", kind=Kind.CONSUMPTION, usage=True))
    await void(conn, document)
    assert (await ledger(conn), await balance(conn, "pia")) == (before, held)
    await prove(conn)


async def test_what_is_written_off_can_still_be_paid(conn: Connection) -> None:
    await open_account(conn)
    invoice = await issue(conn, asked())
    await write_off(conn, invoice)
    assert await ledger(conn) == {
        Ledger.BAD_DEBT: TOTAL,
        Ledger.REVENUE: -29_990_000,
        Ledger.TAX: -5_700_000,
    }
    assert await balance(conn, "anna") == 0
    await pay(conn, invoice, 10_000_000)
    assert await status_of(conn, invoice) is Status.UNCOLLECTIBLE
    assert (await ledger(conn))[Ledger.BAD_DEBT] == TOTAL - 10_000_000
    await pay(conn, invoice, TOTAL - 10_000_000)
    assert await status_of(conn, invoice) is Status.PAID
    assert Ledger.BAD_DEBT not in await ledger(conn)
    await prove(conn)


async def reach(conn: Connection, status: Status) -> int:
    """An invoice in a state."""
    if status is Status.DRAFT:
        return await drafts.create(conn, asked(), until=LATER, now=NOW)
    invoice = await issue(conn, asked())
    if status is Status.PAID:
        await pay(conn, invoice, TOTAL)
    elif status is Status.VOID:
        await void(conn, invoice)
    elif status is Status.UNCOLLECTIBLE:
        await write_off(conn, invoice)
    return invoice


EDGES = {
    (Status.OPEN, "pay"): Status.PAID,
    (Status.OPEN, "void"): Status.VOID,
    (Status.OPEN, "write_off"): Status.UNCOLLECTIBLE,
    (Status.UNCOLLECTIBLE, "pay"): Status.PAID,
    (Status.PAID, "take_back"): Status.OPEN,
    (Status.DRAFT, "delete"): None,
}


async def act(conn: Connection, action: str, invoice: int) -> None:
    match action:
        case "pay":
            await pay(conn, invoice, TOTAL)
        case "take_back":
            await pay(conn, invoice, -TOTAL)
        case "void":
            await void(conn, invoice)
        case "write_off":
            await write_off(conn, invoice)
        case _:
            await drafts.delete(conn, invoice, now=NOW)


async def test_only_the_edges_of_the_graph_can_be_gone(conn: Connection) -> None:
    await open_account(conn)
    for status in Status:
        for action in ("pay", "take_back", "void", "write_off", "delete"):
            invoice = await reach(conn, status)
            if (status, action) not in EDGES:
                with pytest.raises(Conflict):
                    await act(conn, action, invoice)
                assert await status_of(conn, invoice) is status
                continue
            await act(conn, action, invoice)
            expected = EDGES[status, action]
            if expected is not None:
                assert await status_of(conn, invoice) is expected
    await prove(conn)


async def test_what_is_paid_in_part_is_not_voided(conn: Connection) -> None:
    await open_account(conn)
    invoice = await issue(conn, asked())
    await pay(conn, invoice, 1_000_000)
    with pytest.raises(Conflict, match="correct it by a credit note"):
        await void(conn, invoice)


async def test_the_first_time_that_it_was_sent_counts(conn: Connection) -> None:
    await open_account(conn)
    invoice = await issue(conn, asked())
    await lifecycle.mark_sent(conn, invoice, now=NOW)
    await lifecycle.mark_sent(conn, invoice, now=LATER)
    assert (await reading.get(conn, invoice, NOW)).sent_at == NOW
