"""What finalizing freezes, books and numbers; under concurrency and crashes."""

import asyncio
import random
from datetime import UTC, datetime

import asyncpg
import msgspec
import pytest

from billing.accounts.money import top_up
from billing.database import Connection, Pool, prepare
from billing.entities import register as entities
from billing.entities.entity import NumberFormats
from billing.errors import Conflict, InvalidInput, NotFound
from billing.invoices import drafts, numbers, reading
from billing.invoices.finalizing import finalize, finalize_many
from billing.invoices.invoice import Kind, NewInvoice, Status
from billing.invoices.line import ItemKind, NewLine
from billing.ledger.chart import Ledger
from billing.ledger.statement import balance
from billing.settlement.consumer import Settler
from billing.taxes import rates
from tests.billing.invoices.books import ledger, prove
from tests.billing.invoices.making import BUYER, LATER, NOW, RATES, SELLER, asked, fee, open_account
from tests.billing.settlement.making import EVENT
from tests.billing.settlement.worker import Worker, interim
from tests.billing.settlement.world import Desk


async def issue(conn: Connection, new: NewInvoice, now: datetime = NOW) -> int:
    """Make a draft and finalize it."""
    draft = await drafts.create(conn, new, until=LATER, now=now)
    await finalize(conn, draft, actor="test", now=now)
    return draft


async def settle(settler: Settler) -> None:
    while await settler.settle_once(100):
        pass


async def test_an_invoice_gets_its_number_date_and_books(conn: Connection) -> None:
    await open_account(conn)
    late = datetime(2026, 3, 31, 22, 30, tzinfo=UTC)  # it is April in Hamburg
    invoice = await reading.get(conn, await issue(conn, asked(), late), late)
    assert (invoice.status, invoice.number) == (Status.OPEN, "INV-2026-00001")
    assert (str(invoice.issued_on), str(invoice.due_on)) == ("2026-04-01", "2026-04-15")
    assert (invoice.seller, invoice.buyer) == (SELLER, BUYER)
    assert await ledger(conn) == {
        Ledger.RECEIVABLE: 35_690_000,
        Ledger.REVENUE: -29_990_000,
        Ledger.TAX: -5_700_000,
    }
    assert await balance(conn, "anna") == -35_690_000
    [sent] = await conn.fetch("SELECT movement FROM store_outbox WHERE sequence = 2")
    assert msgspec.json.decode(sent["movement"])["amount"] == -35_690_000
    await prove(conn)


async def test_a_finalized_invoice_stays_as_it_is_whatever_changes(conn: Connection) -> None:
    await open_account(conn)
    invoice_id = await issue(conn, asked())
    before = await reading.get(conn, invoice_id, NOW)
    await entities.put(conn, msgspec.structs.replace(SELLER, name="Other"), NOW)
    await rates.put(conn, [msgspec.structs.replace(RATES[0], ppm=250_000)], NOW)
    assert await reading.get(conn, invoice_id, NOW) == before
    for statement in (
        "UPDATE invoices SET total_micros = 1, net_micros = 1, tax_micros = 0",
        "UPDATE invoices SET buyer = '{}'",
        "UPDATE invoices SET number = 'X'",
        "UPDATE invoices SET status = 'draft'",
        "DELETE FROM invoices",
        "UPDATE invoice_items SET description = 'x'",
        "DELETE FROM invoice_items",
        "INSERT INTO invoice_items SELECT invoice_id, 9, 'fee', 'x' FROM invoices",
        "DELETE FROM invoice_taxes",
        "UPDATE number_series SET last_number = 0",
    ):
        with pytest.raises(asyncpg.IntegrityConstraintViolationError):
            await conn.execute(statement)


async def test_a_draft_is_taxed_anew_when_it_is_finalized(conn: Connection) -> None:
    await open_account(conn)
    draft = await drafts.create(conn, asked(), now=NOW)
    await rates.put(conn, [msgspec.structs.replace(RATES[0], ppm=250_000)], NOW)
    await finalize(conn, draft, actor="test", now=NOW)
    assert (await reading.get(conn, draft, NOW)).tax_micros == 7_500_000


async def test_postpaid_usage_becomes_a_receivable_and_its_rounding_is_booked(
    conn: Connection, desk: Desk, worker: Worker, settler: Settler
) -> None:
    await desk.open_account("anna", postpaid=True, users=["anna"])
    await worker.report(interim("s1", "anna", EVENT, 1_234_567_000))
    await settle(settler)
    assert await ledger(conn, "anna") == {Ledger.UNBILLED_USAGE: 2_469_134}
    invoice = await reading.get(conn, await issue(conn, asked(usage=True, lines=())), NOW)
    [line] = invoice.lines
    assert line.usage is not None
    assert (line.usage.sessions, line.usage.octets_in + line.usage.octets_out) == (1, 1_234_567_000)
    assert (line.net_micros, line.tax_micros) == (2_470_000, 470_000)
    assert await ledger(conn) == {
        Ledger.RECEIVABLE: 2_940_000,
        Ledger.REVENUE: -2_469_134,
        Ledger.TAX: -470_000,
        Ledger.ROUNDING: -866,
    }
    # Nothing is billed twice.
    with pytest.raises(Conflict, match="has no lines"):
        await issue(conn, asked(usage=True, lines=()))
    await prove(conn)


async def test_a_prepaid_accounts_documents_never_move_its_balance(
    conn: Connection, desk: Desk, worker: Worker, settler: Settler
) -> None:
    await desk.open_account("pia", 20_000_000, users=["pia"])
    await worker.report(interim("s1", "pia", EVENT, 1_234_567_000))
    await settle(settler)
    before = await balance(conn, "pia")
    new = NewInvoice(account="pia", kind=Kind.CONSUMPTION, usage=True, buyer=BUYER)
    invoice = await reading.get(conn, await issue(conn, new), NOW)
    assert (invoice.status, invoice.total_micros) == (Status.PAID, 2_470_000)
    assert (invoice.net_micros, invoice.tax_micros, invoice.left_micros) == (2_080_000, 390_000, 0)
    line = NewLine(
        kind=ItemKind.TOPUP, description="Top-up", unit_price_micros=20_000_000, charged=True
    )
    topup = NewInvoice(account="pia", kind=Kind.TOPUP, lines=(line,), buyer=BUYER)
    await issue(conn, topup)
    assert await balance(conn, "pia") == before
    assert not await conn.fetch("SELECT FROM store_outbox")
    assert (await ledger(conn))[Ledger.TAX] == -390_000 - 3_190_000
    await prove(conn)


async def test_a_proforma_and_a_statement_book_nothing(
    conn: Connection, desk: Desk, worker: Worker, settler: Settler
) -> None:
    await desk.open_account("pia", 20_000_000, users=["pia"])
    await worker.report(interim("s1", "pia", EVENT, 1_000_000_000))
    await settle(settler)
    before = await ledger(conn)
    proforma = await reading.get(conn, await issue(conn, asked("pia", kind=Kind.PROFORMA)), NOW)
    new = NewInvoice(account="pia", kind=Kind.STATEMENT, usage=True)
    stated = await reading.get(conn, await issue(conn, new), NOW)
    assert (proforma.number, stated.number) == ("PRO-2026-00001", "ST-2026-00001")
    assert (proforma.status, stated.status) == (Status.OPEN, Status.PAID)
    assert (stated.total_micros, stated.tax_micros, stated.taxes) == (2_000_000, 0, ())
    assert await ledger(conn) == before


async def test_credit_pays_an_invoice_as_far_as_it_goes(conn: Connection) -> None:
    await open_account(conn)
    await top_up(conn, "anna", 50_000_000, actor="test", now=NOW)
    first = await reading.get(conn, await issue(conn, asked()), NOW)
    second = await reading.get(conn, await issue(conn, asked()), NOW)
    assert (first.status, first.left_micros) == (Status.PAID, 0)
    assert (second.status, second.paid_micros) == (Status.OPEN, 50_000_000 - 35_690_000)
    assert await balance(conn, "anna") == 50_000_000 - 2 * 35_690_000
    assert (await ledger(conn)).get(Ledger.CUSTOMER_CREDIT) is None
    await prove(conn)


async def test_what_cannot_be_finalized_stays_a_draft(conn: Connection) -> None:
    await open_account(conn)
    negative = await drafts.create(conn, asked("anna", fee(-1_000_000)), now=NOW)
    empty = await drafts.create(conn, asked(lines=()), now=NOW)
    pending = msgspec.structs.replace(BUYER, tax_pending=True)
    with pytest.raises(Conflict, match="is being checked"):
        await drafts.create(conn, asked(buyer=pending), now=NOW)
    good = await drafts.create(conn, asked(), now=NOW)
    with pytest.raises(Conflict, match=r"comes to -1\.19: allowed is 0 or more"):
        await finalize(conn, negative, actor="test", now=NOW)
    with pytest.raises(NotFound):
        await finalize(conn, 10_000, actor="test", now=NOW)
    outcome = await finalize_many(conn, [negative, empty, good, 10_000], actor="test", now=NOW)
    assert [each.number for each in outcome.finalized] == ["INV-2026-00001"]
    assert {each.invoice_id for each in outcome.refused} == {negative, empty, 10_000}
    with pytest.raises(Conflict, match="was finalized before"):
        await finalize(conn, good, actor="test", now=NOW)
    await prove(conn)


@pytest.mark.parametrize(
    ("currency", "net", "tax"),
    [("JPY", 2_990_000_000, 299_000_000), ("BHD", 2_990_005_000, 299_001_000)],
)
async def test_currencies_without_decimals_and_with_three(
    conn: Connection, currency: str, net: int, tax: int
) -> None:
    place = {"JPY": "JP", "BHD": "BH"}[currency]
    await open_account(conn, currency=currency)
    buyer = msgspec.structs.replace(BUYER, jurisdiction=place)
    line = fee(2_990_004_500 if currency == "BHD" else 2_990_000_000)
    invoice = await reading.get(conn, await issue(conn, asked("anna", line, buyer=buyer)), NOW)
    assert (invoice.net_micros, invoice.tax_micros) == (net, tax)


async def test_numbers_go_on_from_another_system_and_begin_anew_each_year(conn: Connection) -> None:
    await open_account(conn)
    formats = NumberFormats(invoice="{number}/{year}")
    await entities.put(conn, msgspec.structs.replace(SELLER, numbers=formats), NOW)
    await numbers.continue_from(conn, "main", "invoice", 2026, 4711)
    first = await reading.get(conn, await issue(conn, asked()), NOW)
    year_later = datetime(2027, 1, 2, tzinfo=UTC)
    await conn.execute("SELECT ensure_partitions($1, 1)", year_later)
    second = await reading.get(conn, await issue(conn, asked(), year_later), NOW)
    assert (first.number, second.number) == ("4712/2026", "1/2027")
    with pytest.raises(Conflict, match="has begun"):
        await numbers.continue_from(conn, "main", "invoice", 2026, 5000)
    with pytest.raises(InvalidInput, match="series 'x'"):
        await numbers.continue_from(conn, "main", "x", 2026, 5000)


async def test_a_date_never_goes_back_within_a_series(conn: Connection) -> None:
    await open_account(conn)
    await issue(conn, asked())
    earlier = datetime(2026, 3, 10, tzinfo=UTC)
    invoice = await reading.get(conn, await issue(conn, asked(), earlier), NOW)
    assert str(invoice.issued_on) == "2026-03-14"


async def test_fifty_at_once_and_crashes_leave_no_gap_and_no_double(
    conn: Connection, pool: Pool, database_url: str
) -> None:
    chance = random.Random(7)
    for number in range(5):
        await open_account(conn, f"a{number}")
    ids = [await drafts.create(conn, asked(f"a{number % 5}"), now=NOW) for number in range(50)]

    async def attempt(invoice_id: int, *, crash: bool) -> None:
        victim = await asyncpg.connect(database_url)
        await prepare(victim)
        work = asyncio.create_task(finalize(victim, invoice_id, actor="test", now=NOW))
        if crash:
            await asyncio.sleep(chance.random() * 0.1)
            async with pool.acquire() as other:
                await other.execute("SET ROLE NONE")
                await other.execute("SELECT pg_terminate_backend($1)", victim.get_server_pid())
        try:
            await work
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
            assert crash
        finally:
            await victim.close()

    gate = asyncio.Semaphore(25)

    async def limited(invoice_id: int, *, crash: bool) -> None:
        async with gate:
            await attempt(invoice_id, crash=crash)

    await asyncio.gather(*(limited(each, crash=n % 3 == 0) for n, each in enumerate(ids)))
    left = [
        r[0] for r in await conn.fetch("SELECT invoice_id FROM invoices WHERE status = 'draft'")
    ]
    await prove(conn)
    await asyncio.gather(*(limited(each, crash=False) for each in left))
    found = [r[0] for r in await conn.fetch("SELECT series_number FROM invoices ORDER BY 1")]
    assert found == list(range(1, 51))
    await prove(conn)
