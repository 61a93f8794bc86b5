"""Each settled charge stands on exactly one line, after any sequence of what can be done."""

import random

import asyncpg
import pytest

from billing.database import Connection
from billing.errors import Conflict
from billing.invoices import charges, drafts, lifecycle, reading
from billing.invoices.finalizing import finalize
from billing.invoices.invoice import NewInvoice, Status
from billing.settlement.consumer import Settler
from tests.billing.invoices.books import prove
from tests.billing.invoices.making import BUYER, LATER, NOW, asked
from tests.billing.invoices.test_finalizing import settle
from tests.billing.settlement.making import EVENT
from tests.billing.settlement.worker import Worker, interim
from tests.billing.settlement.world import Desk


@pytest.mark.parametrize("seed", range(3))
async def test_after_any_sequence_each_charge_stands_on_one_line(
    conn: Connection, desk: Desk, worker: Worker, settler: Settler, seed: int
) -> None:
    chance = random.Random(seed)
    await desk.open_account("anna", postpaid=True, users=["anna"])
    new = NewInvoice(account="anna", usage=True, buyer=BUYER)
    octets = 0
    for step in range(25):
        action = chance.choice(["use", "use", "draft", "finalize", "void", "reissue", "delete"])
        ids = [row[0] for row in await conn.fetch("SELECT invoice_id FROM invoices")]
        chosen = chance.choice(ids) if ids else 0
        try:
            if action == "use":
                octets += chance.randrange(1, 10**9)
                await worker.report(interim("s1", "anna", EVENT + step, octets))
                await settle(settler)
            elif action == "draft":
                await drafts.create(conn, new, until=LATER, now=NOW)
            elif action == "finalize" and ids:
                await finalize(conn, chosen, actor="test", now=NOW)
            elif action == "void" and ids:
                await lifecycle.void(conn, chosen, actor="test", now=NOW)
            elif action == "reissue" and ids:
                await lifecycle.reissue(conn, chosen, actor="test", now=NOW)
            elif action == "delete" and ids:
                await drafts.delete(conn, chosen, now=NOW)
        except Conflict:
            pass
        await prove(conn)
    await settle(settler)
    # At the end all of it comes onto live documents, and they hold what was charged.
    await drafts.create(conn, new, until=LATER, now=NOW)
    on_lines = await conn.fetchval(
        "SELECT sum(unit_price_micros)::bigint FROM invoice_items JOIN invoices USING (invoice_id)"
        " WHERE invoice_items.kind = 'usage' AND status <> 'void'"
    )
    recorded = await conn.fetchval("SELECT sum(charged_micros)::bigint FROM usage_records")
    assert on_lines == recorded == worker.charged
    assert not await conn.fetchval("SELECT count(*) FROM charge_shares WHERE invoice_id IS NULL")


async def test_ranges_follow_each_other_without_a_gap_or_an_overlap(conn: Connection) -> None:
    await conn.execute(
        "INSERT INTO customer_billing_accounts (account_id, currency, payment_mode, created_at)"
        " VALUES ('a', 'EUR', 'postpaid', now())"
    )
    add = "INSERT INTO charge_ranges VALUES ('a', to_timestamp($1), to_timestamp($2), DEFAULT, 0)"
    await conn.execute(add, 0, 100)
    for since, until in ((0, 50), (50, 150), (101, 150), (100, 100)):
        with pytest.raises(asyncpg.IntegrityConstraintViolationError):
            await conn.execute(add, since, until)
    await conn.execute(add, 100, 200)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await conn.execute("DELETE FROM charge_ranges")


async def test_charges_that_the_ledger_does_not_have_are_not_billed(
    conn: Connection, desk: Desk, worker: Worker, settler: Settler
) -> None:
    await desk.open_account("anna", postpaid=True, users=["anna"])
    await worker.report(interim("s1", "anna", EVENT, 10**9))
    await settle(settler)
    await conn.execute("UPDATE accounting_sessions SET account_id = 'other'")
    with pytest.raises(Conflict, match=r"were charged 0.00 .* and the ledger has 2.00"):
        await drafts.create(conn, asked(usage=True), until=LATER, now=NOW)


async def test_what_is_settled_after_the_cut_waits_for_the_next_document(
    conn: Connection, desk: Desk, worker: Worker, settler: Settler
) -> None:
    await desk.open_account("anna", postpaid=True, users=["anna"])
    await worker.report(interim("s1", "anna", EVENT, 10**9))
    await settle(settler)
    cut = await conn.fetchval("SELECT now()")
    async with conn.transaction():
        assert await charges.cut_off(conn, cut) == cut
    await worker.report(interim("s1", "anna", EVENT + 60, 3 * 10**9))
    await settle(settler)
    draft = await drafts.create(conn, asked(usage=True, lines=()), until=cut, now=NOW)
    assert (await reading.get(conn, draft, NOW)).net_micros == 2_000_000
    rest = await drafts.create(conn, asked(usage=True, lines=()), until=LATER, now=NOW)
    assert (await reading.get(conn, rest, NOW)).net_micros == 4_000_000
    # A clock that goes back brings nothing in before the cut.
    await worker.report(interim("s1", "anna", EVENT + 90, 4 * 10**9))
    await settle(settler)
    last = await drafts.create(conn, asked(usage=True, lines=()), until=LATER, now=NOW)
    assert (await reading.get(conn, last, NOW)).net_micros == 2_000_000
    assert (await reading.get(conn, last, NOW)).status is Status.DRAFT


def test_shares_of_several_ranges_are_summed_by_plan() -> None:
    def share(plan: str, micros: int) -> charges.Share:
        return charges.Share(NOW, plan, micros, 1, 2, 3, 4, NOW, LATER)

    first, second = charges.by_plan([share("b", 1), share("a", 2), share("b", 4)])
    assert (first.plan, first.charged_micros) == ("a", 2)
    assert (second.plan, second.charged_micros, second.octets_out) == ("b", 5, 8)
