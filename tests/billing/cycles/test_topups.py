"""What prepaid accounts put in is documented once, where the entity has it so."""

from datetime import timedelta

import msgspec
import pytest

from billing.accounts.account import Particulars
from billing.accounts.money import adjust, top_up
from billing.accounts.register import set_particulars
from billing.customers import register as customers
from billing.customers.customer import Details
from billing.cycles.topups import document_topups
from billing.database import Connection
from billing.entities.entity import PrepaidDocuments
from billing.invoices import reading
from billing.invoices.invoice import Kind, Status
from billing.ledger.statement import balance
from billing.taxes import rates
from billing.taxes.rate import TaxRate
from tests.billing.invoices.making import NOW, SELLER, open_account, open_business

LATER = NOW + timedelta(minutes=5)


async def top_ups(conn: Connection) -> None:
    """Two of an account and one of another; an adjustment is none, a postpaid account has none."""
    await open_account(conn, "pia", prepaid=True)
    await open_account(conn, "per", prepaid=True)
    await open_account(conn, "post")
    for account in ("pia", "per", "pia", "post"):
        await top_up(conn, account, 11_900_000, actor="test", now=NOW)
    await adjust(conn, "pia", 5_000_000, reason="sorry", actor="test", now=NOW)


@pytest.fixture
async def taxing(conn: Connection) -> Connection:
    """A database whose entity taxes top-ups."""
    await conn.execute("SELECT ensure_partitions($1, 1)", NOW)
    seller = msgspec.structs.replace(SELLER, prepaid_documents=PrepaidDocuments.TOPUP)
    await open_business(conn, seller)
    return conn


async def test_each_top_up_gets_one_document_with_its_tax(taxing: Connection) -> None:
    await top_ups(taxing)
    assert await document_topups(taxing, LATER, actor="test") == 3
    assert await document_topups(taxing, LATER, actor="test") == 0
    ids = [row[0] for row in await taxing.fetch("SELECT invoice_id FROM topup_documents")]
    made = await reading.get_many(taxing, ids, LATER)
    assert sorted(each.account for each in made.values()) == ["per", "pia", "pia"]
    for each in made.values():
        assert (each.kind, each.status) == (Kind.TOPUP, Status.PAID)
        assert (each.net_micros, each.tax_micros) == (10_000_000, 1_900_000)
        assert each.lines[0].description == "Top-up, 2026-03-14"
    # tax comes out of the revenue, the balance stays
    tax = "SELECT -sum(amount_micros)::bigint FROM ledger_postings WHERE ledger = 31"
    assert await taxing.fetchval(tax) == 3 * 1_900_000
    assert await balance(taxing, "pia") == 2 * 11_900_000 + 5_000_000


async def test_one_that_cannot_be_documented_waits_and_holds_up_no_other(
    taxing: Connection,
) -> None:
    await top_ups(taxing)
    details = Details(name="Per", country="DE", tax_category="books")
    await customers.create(taxing, "per", details, now=NOW)
    await set_particulars(taxing, "per", Particulars(customer="per"))
    assert await document_topups(taxing, LATER, actor="test") == 2
    [row] = await taxing.fetch("SELECT * FROM topup_documents WHERE invoice_id IS NULL")
    assert row["account_id"] == "per"
    assert "no tax rate for category books" in row["refusal"]
    await rates.put(taxing, [TaxRate("DE", "books", "USt", NOW.date(), 70_000)], NOW)
    assert await document_topups(taxing, LATER, actor="test") == 1
    assert await taxing.fetchval("SELECT count(refusal) FROM topup_documents") == 0


async def test_where_consumption_is_taxed_top_ups_have_no_document(conn: Connection) -> None:
    await conn.execute("SELECT ensure_partitions($1, 1)", NOW)
    await open_business(conn)
    await top_ups(conn)
    assert await document_topups(conn, LATER, actor="test") == 0
