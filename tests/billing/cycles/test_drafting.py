"""Bills become invoices with usage and tax, drafts are reviewed, prepaid fees leave the credit."""

from datetime import datetime, timedelta

import msgspec
import pytest

from billing.accounts import register as accounts
from billing.accounts.account import Particulars
from billing.accounts.money import top_up
from billing.coupons import register as coupons
from billing.coupons.discount import Terms
from billing.coupons.register import Coupon
from billing.credit_notes import reading as credit_notes
from billing.customers import register as customers
from billing.customers.customer import Details
from billing.cycles import run
from billing.cycles.drafting import approve, finalize_due
from billing.database import Connection, Pool
from billing.delivery import outbox
from billing.entities import register as entities
from billing.entities.entity import PrepaidDocuments
from billing.invoices import drafts, lifecycle, reading
from billing.invoices.invoice import Invoice, Kind, Status
from billing.ledger.statement import balance
from billing.services import register as services
from tests.billing.cycles.conftest import BEGIN, Subscribe
from tests.billing.invoices.making import SELLER

APRIL = BEGIN + timedelta(days=31)


async def invoices(conn: Connection) -> list[Invoice]:
    rows = await conn.fetch("SELECT invoice_id FROM invoices ORDER BY invoice_id")
    return [await reading.get(conn, row[0], APRIL) for row in rows]


async def bill(pool: Pool, at: datetime) -> run.RunView:
    return await run.run(pool, at=at, actor="test", now=at)


async def test_a_bill_is_an_invoice_with_its_periods_discounts_and_tax(
    world: Connection, pool: Pool, subscribe: Subscribe
) -> None:
    await subscribe("a")
    terms = Terms(basis_points=1000, charges=("access",))
    await coupons.create(world, Coupon(code="TEN", description="Ten off", terms=terms), BEGIN)
    await coupons.redeem(world, "TEN", "a", today=BEGIN.date(), actor="s", now=BEGIN)
    await bill(pool, BEGIN)
    [invoice] = await invoices(world)
    assert [
        (line.kind, line.amount_micros, line.discount_micros, line.discount_reason)
        for line in invoice.lines
    ] == [
        ("recurring", 31_000_000, 3_100_000, "Ten off"),
        ("one-off", 50_000_000, 0, ""),
    ]
    assert str(invoice.lines[0].service_from) == "2026-03-01"
    assert str(invoice.lines[0].service_until) == "2026-04-01"
    assert (invoice.net_micros, invoice.tax_micros) == (77_900_000, 14_800_000)
    assert (invoice.status, invoice.number) == (Status.OPEN, "INV-2026-00001")
    # what is owed is on the account's balance, and each item knows its line
    assert await balance(world, "a") == -92_700_000
    rows = await world.fetch("SELECT invoice_id, invoice_line FROM billed_items ORDER BY item_id")
    assert [tuple(row) for row in rows] == [(invoice.invoice_id, 1), (invoice.invoice_id, 2)]


async def test_what_a_run_issues_is_mailed_once_to_who_has_an_address(
    world: Connection, pool: Pool, subscribe: Subscribe
) -> None:
    details = Details(name="Anna", email="anna@example.net")
    await customers.create(world, "anna", details, now=BEGIN)
    for name in ("a", "b"):
        await subscribe(name)
    await accounts.set_particulars(world, "a", Particulars(customer="anna", language="fr"))
    for _ in range(2):
        await bill(pool, BEGIN)
    [mail] = await outbox.list_(world)
    assert (mail.account_id, mail.recipient) == ("a", "anna@example.net")
    assert mail.subject == "Nordlicht Internet GmbH : Facture INV-2026-00001"
    silent = msgspec.structs.replace(SELLER, mail_invoices=False)
    await entities.put(world, silent, BEGIN)
    assert (await bill(pool, APRIL)).billed == 2
    assert await outbox.list_(world) == [mail]


async def test_where_top_ups_are_taxed_prepaid_fees_are_only_told(
    world: Connection, pool: Pool, subscribe: Subscribe
) -> None:
    taxing = msgspec.structs.replace(SELLER, prepaid_documents=PrepaidDocuments.TOPUP)
    await entities.put(world, taxing, BEGIN)
    await subscribe("a")
    await world.execute("UPDATE customer_billing_accounts SET payment_mode = 'prepaid'")
    await bill(pool, BEGIN)
    [told] = await invoices(world)
    assert (told.kind, told.number, told.tax_micros) == (Kind.STATEMENT, "ST-2026-00001", 0)
    assert await balance(world, "a") == -81_000_000


async def test_a_change_within_a_cycle_is_one_invoice_of_credit_and_charge(
    world: Connection, pool: Pool, subscribe: Subscribe
) -> None:
    service = await subscribe("a")
    await bill(pool, BEGIN)
    mid = BEGIN + timedelta(days=10)
    await services.change(world, service, "large", actor="staff", now=mid)
    await bill(pool, mid)
    [_, change] = await invoices(world)
    assert [(line.kind, line.amount_micros) for line in change.lines] == [
        ("recurring", 42_000_000),
        ("credit", -21_000_000),
    ]
    assert change.net_micros == 21_000_000


async def test_drafts_wait_for_their_approval_and_are_finalized_once(
    world: Connection, pool: Pool, subscribe: Subscribe
) -> None:
    for name in ("a", "b"):
        await subscribe(name)
    await world.execute("UPDATE billing_schedules SET needs_approval = true")
    done = await bill(pool, BEGIN)
    assert [each.status for each in await invoices(world)] == [Status.DRAFT] * 2
    assert (await finalize_due(world, APRIL, actor="test")).finalized == 0
    # nothing of it counts until then
    assert await balance(world, "a") == 0
    first = await approve(world, done.run, actor="eve", now=APRIL)
    assert (first.finalized, first.refused) == (2, 0)
    assert (await approve(world, done.run, actor="eve", now=APRIL)).finalized == 0
    view = await run.view(world, done.run)
    assert (view.approved_by, view.approved_at) == ("eve", APRIL)
    assert [each.number for each in await invoices(world)] == ["INV-2026-00001", "INV-2026-00002"]


async def test_what_a_deleted_draft_billed_is_billed_again(
    world: Connection, pool: Pool, subscribe: Subscribe
) -> None:
    await subscribe("a")
    await world.execute("UPDATE billing_schedules SET needs_approval = true")
    await bill(pool, BEGIN)
    [draft] = await invoices(world)
    assert draft.invoice_id is not None
    await drafts.delete(world, draft.invoice_id, now=BEGIN)
    assert await invoices(world) == []
    again = await run.run_account(world, "a", actor="test", now=BEGIN)
    assert again.amounts_micros == {"EUR": 81_000_000}
    assert len((await invoices(world))[0].lines) == 2


async def test_what_a_voided_invoice_billed_is_billed_again_unless_it_was_reissued(
    world: Connection, pool: Pool, subscribe: Subscribe
) -> None:
    await subscribe("a")
    await bill(pool, BEGIN)
    [first] = await invoices(world)
    assert first.invoice_id is not None
    new = await lifecycle.reissue(world, first.invoice_id, actor="eve", now=BEGIN)
    assert (await run.run_account(world, "a", actor="test", now=BEGIN)).billed == 0
    # and what took its place may go as well
    await drafts.delete(world, new, now=BEGIN)
    again = await run.run_account(world, "a", actor="test", now=BEGIN)
    assert again.amounts_micros == {"EUR": 81_000_000}
    assert (await run.run_account(world, "a", actor="test", now=BEGIN)).billed == 0


async def test_a_coupon_comes_back_with_what_it_was_taken_off(
    world: Connection, pool: Pool, subscribe: Subscribe
) -> None:
    terms = Terms(amount_micros=5_000_000, currency="EUR", cycles=1)
    await subscribe("a")
    await coupons.create(world, Coupon(code="FIVE", description="Five", terms=terms), BEGIN)
    await coupons.redeem(world, "FIVE", "a", today=BEGIN.date(), actor="s", now=BEGIN)
    await bill(pool, BEGIN)
    [first] = await invoices(world)
    assert first.invoice_id is not None
    assert first.discount_micros == 5_000_000
    draft = await lifecycle.reissue(world, first.invoice_id, actor="eve", now=BEGIN)
    assert (await run.run_account(world, "a", actor="test", now=BEGIN)).billed == 0
    await drafts.delete(world, draft, now=BEGIN)
    again = await run.run_account(world, "a", actor="test", now=BEGIN)
    assert again.amounts_micros == {"EUR": 76_000_000}
    assert (await bill(pool, APRIL)).amounts_micros == {"EUR": 31_000_000}


@pytest.mark.usefixtures("world")
async def test_what_a_prepaid_service_did_not_use_is_credit_again(
    conn: Connection, pool: Pool
) -> None:
    await accounts.create(conn, "pre", "EUR", now=BEGIN)
    await top_up(conn, "pre", 100_000_000, actor="t", now=BEGIN)
    entry = await services.order(conn, "pre", "small", actor="staff", now=BEGIN)
    await services.start(conn, entry.service, actor="staff", now=BEGIN)
    await bill(pool, BEGIN)
    mid = BEGIN + timedelta(days=10)
    await services.cancel(conn, entry.service, reason="moved", actor="staff", now=mid)
    await bill(pool, mid)
    assert await balance(conn, "pre") == 19_000_000 + 21_000_000
    assert [each.status for each in await invoices(conn)] == [Status.PAID]
    [note] = await credit_notes.list_(conn, account="pre")
    assert (note.total_micros, note.credit_micros) == (21_000_000, 21_000_000)


@pytest.mark.usefixtures("world")
async def test_a_prepaid_fee_leaves_the_credit_at_once_and_is_documented(
    conn: Connection, pool: Pool
) -> None:
    await accounts.create(conn, "pre", "EUR", now=BEGIN)
    await top_up(conn, "pre", 100_000_000, actor="t", now=BEGIN)
    entry = await services.order(conn, "pre", "small", actor="staff", now=BEGIN)
    await services.start(conn, entry.service, actor="staff", now=BEGIN)
    await bill(pool, BEGIN)
    assert await balance(conn, "pre") == 19_000_000
    [document] = await invoices(conn)
    # the price includes the tax: 81.00 is 68.07 and 12.93
    assert (document.kind, document.total_micros, document.tax_micros) == (
        "consumption", 81_000_000, 12_930_000,
    )  # fmt: skip
    assert await conn.fetchval("SELECT sum(amount_micros) FROM ledger_postings") == 0
    posted = await conn.fetch("SELECT movement ->> 'amount' FROM store_outbox ORDER BY sequence")
    assert [row[0] for row in posted if row[0]] == ["100000000", "-81000000"]
