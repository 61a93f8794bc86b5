"""Drafts can be changed and deleted; a preview is what the draft would be, and writes nothing."""

from datetime import date

import msgspec
import pytest

from billing.accounts.account import AccountStatus
from billing.accounts.register import set_status
from billing.database import Connection
from billing.errors import Conflict, InvalidInput, NotFound
from billing.invoices import drafts, reading
from billing.invoices.finalizing import finalize
from billing.invoices.invoice import Invoice, Kind, NewInvoice, Status
from billing.invoices.line import ItemKind, NewLine
from billing.settlement.consumer import Settler
from tests.billing.invoices.making import LATER, NOW, asked, fee, open_account
from tests.billing.settlement.making import EVENT
from tests.billing.settlement.worker import Worker, interim
from tests.billing.settlement.world import Desk


def content(invoice: Invoice) -> Invoice:
    """What a preview and its draft have in common."""
    return msgspec.structs.replace(invoice, invoice_id=None, revision=0, created_at=None)


async def written(conn: Connection) -> list[object]:
    tables = ("invoices", "invoice_items", "charge_ranges", "charge_shares", "number_series")
    return [await conn.fetch(f"SELECT * FROM {table}") for table in tables]


async def test_a_preview_is_the_draft_and_writes_nothing(
    conn: Connection, desk: Desk, worker: Worker, settler: Settler
) -> None:
    await desk.open_account("anna", postpaid=True, users=["anna"])
    await worker.report(interim("s1", "anna", EVENT, 1_234_567_000))
    while await settler.settle_once(100):
        pass
    new = asked("anna", fee(), fee(5_000_000, discount_micros=1_000_000), usage=True)
    before = await written(conn)
    preview = await drafts.preview(conn, new, until=LATER, now=NOW)
    assert await written(conn) == before
    draft = await drafts.create(conn, new, until=LATER, now=NOW)
    made = await reading.get(conn, draft, NOW)
    assert content(made) == preview
    assert (made.status, made.number) == (Status.DRAFT, None)
    # 29.99 + 4.00 + 1,234,567 steps of 0.000002 = 2.469134, rounded to 2.47; 19 %
    assert (made.net_micros, made.tax_micros) == (36_460_000, 6_930_000)
    await finalize(conn, draft, actor="test", now=NOW)
    final = await reading.get(conn, draft, NOW)
    assert (final.lines, final.taxes) == (preview.lines, preview.taxes)


async def test_a_draft_can_be_changed_by_who_has_seen_its_last_revision(conn: Connection) -> None:
    await open_account(conn)
    draft = await drafts.create(conn, asked(), now=NOW)
    new = asked("anna", fee(10_000_000), note="again", tax_point=date(2026, 3, 1))
    await drafts.change(conn, draft, new, revision=1, now=NOW)
    changed = await reading.get(conn, draft, NOW)
    assert (changed.revision, changed.note, changed.total_micros) == (2, "again", 11_900_000)
    with pytest.raises(Conflict, match="it is at revision 2"):
        await drafts.change(conn, draft, new, revision=1, now=NOW)
    with pytest.raises(InvalidInput, match="account, kind and entity of a draft stay"):
        await drafts.change(conn, draft, asked(kind=Kind.PROFORMA), now=NOW)


async def test_a_finalized_invoice_can_be_neither_changed_nor_deleted(conn: Connection) -> None:
    await open_account(conn)
    draft = await drafts.create(conn, asked(), now=NOW)
    await finalize(conn, draft, actor="test", now=NOW)
    for attempt in (
        drafts.change(conn, draft, asked(), now=NOW),
        drafts.delete(conn, draft, now=NOW),
    ):
        with pytest.raises(Conflict, match="INV-2026-00001 is open, and only drafts"):
            await attempt


async def test_a_deleted_draft_is_gone_and_used_no_number(conn: Connection) -> None:
    await open_account(conn)
    draft = await drafts.create(conn, asked(), now=NOW)
    await drafts.delete(conn, draft, now=NOW)
    with pytest.raises(NotFound):
        await reading.get(conn, draft, NOW)
    other = await drafts.create(conn, asked(), now=NOW)
    assert (await finalize(conn, other, actor="test", now=NOW)).number == "INV-2026-00001"


async def test_usage_stays_on_a_draft_that_is_changed(
    conn: Connection, desk: Desk, worker: Worker, settler: Settler
) -> None:
    await desk.open_account("anna", postpaid=True, users=["anna"])
    await worker.report(interim("s1", "anna", EVENT, 5_000_000_000))
    while await settler.settle_once(100):
        pass
    draft = await drafts.create(conn, asked("anna", usage=True), until=LATER, now=NOW)
    await drafts.change(conn, draft, asked("anna", fee(), fee(1_000_000)), now=NOW)
    changed = await reading.get(conn, draft, NOW)
    assert [line.kind for line in changed.lines] == [
        *(ItemKind.RECURRING, ItemKind.RECURRING, ItemKind.USAGE),
    ]
    assert changed.lines[-1].net_micros == 10_000_000
    assert await conn.fetchval("SELECT line FROM charge_shares") == 3


REFUSED: list[tuple[NewInvoice, str]] = [
    (asked("anna", fee(description="x" * 10, discount_micros=1)), "whole minor units of EUR"),
    (asked("anna", fee(discount_micros=30_000_000)), "is more than its amount"),
    (asked("anna", fee(kind=ItemKind.USAGE)), "usage comes from what was settled"),
    (asked("anna", fee(charged=True)), "`charged` is for consumption"),
    (asked("anna", fee(service_until=date(2026, 3, 1))), "ends before it begins"),
    (asked("anna", kind=Kind.CONSUMPTION), "is for prepaid accounts, and anna is postpaid"),
    (asked("anna", fee(kind=ItemKind.TOPUP)), "a line of kind topup on a document of kind"),
    (asked("anna", language="xx"), "language 'xx': allowed are en, de, fr, ar"),
    (asked("anna", *([fee()] * 1001)), "1001 lines: allowed are 1000"),
]


async def test_what_cannot_be_is_refused(conn: Connection) -> None:
    await open_account(conn)
    for new, told in REFUSED:
        with pytest.raises(InvalidInput, match=told):
            await drafts.create(conn, new, now=NOW)
    assert await conn.fetchval("SELECT count(*) FROM invoices") == 0


async def test_what_there_is_no_rate_for_is_refused(conn: Connection) -> None:
    await open_account(conn)
    with pytest.raises(Conflict, match="no tax rate for category books"):
        await drafts.create(conn, asked("anna", fee(tax_category="books")), now=NOW)


async def test_a_closed_account_gets_no_further_invoice(conn: Connection) -> None:
    await open_account(conn)
    await set_status(conn, "anna", AccountStatus.CLOSED, now=NOW)
    with pytest.raises(Conflict, match="account anna is closed"):
        await drafts.create(conn, asked(), now=NOW)
    with pytest.raises(NotFound, match="account nobody"):
        await drafts.preview(conn, asked("nobody"), now=NOW)


async def test_unknown_entities_are_told(conn: Connection) -> None:
    await open_account(conn)
    with pytest.raises(NotFound, match="there is no entity other"):
        await drafts.create(conn, asked(entity="other"), now=NOW)
    assert NewLine(description="x", unit_price_micros=1).quantity_micros == 1_000_000
