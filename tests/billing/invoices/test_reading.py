"""Finding invoices, and what they say of tax together."""

from datetime import date

import pytest

from billing.database import Connection
from billing.errors import InvalidInput, NotFound
from billing.invoices import drafts, lifecycle, reading, settling
from billing.invoices.invoice import Kind, Status
from billing.invoices.reading import Order, Place, Search
from tests.billing.invoices.making import NOW, asked, fee, open_account
from tests.billing.invoices.test_finalizing import issue


async def found(conn: Connection, **wanted: object) -> list[int]:
    today = date(2026, 5, 1)
    search = Search(**wanted)  # pyright: ignore[reportArgumentType]
    return [each.invoice_id for each in await reading.search(conn, search, today=today)]


async def test_invoices_are_found_by_what_is_known_of_them(conn: Connection) -> None:
    await open_account(conn, "anna")
    await open_account(conn, "bert")
    first = await issue(conn, asked("anna"))
    second = await issue(conn, asked("bert", fee(100_000_000), payment_days=90))
    third = await issue(conn, asked("anna", kind=Kind.PROFORMA))
    draft = await drafts.create(conn, asked("bert"), now=NOW)
    async with conn.transaction():
        await settling.pay(conn, second, 1_000_000, actor="test", now=NOW)
    assert await found(conn) == [draft, third, second, first]
    assert await found(conn, account="anna") == [third, first]
    assert await found(conn, status=Status.DRAFT) == [draft]
    assert await found(conn, kind=Kind.PROFORMA) == [third]
    assert await found(conn, number="INV-2026") == [second, first]
    assert await found(conn, number="INV-2026-00002") == [second]
    assert await found(conn, issued_from=date(2026, 3, 15)) == []
    assert await found(conn, issued_to=date(2026, 3, 14)) == [third, second, first]
    assert await found(conn, total_from_micros=100_000_000) == [second]
    assert await found(conn, overdue=True) == [third, first]
    assert await found(conn, partly_paid=True) == [second]
    page = await reading.search(conn, Search(), today=NOW.date(), limit=2, after=Place(third))
    assert [each.invoice_id for each in page] == [second, first]
    assert page[0].left_micros == 118_000_000
    due = await reading.search(conn, Search(), today=NOW.date(), order=Order.DUE)
    assert [each.invoice_id for each in due] == [first, third, second]
    after = Place(third, due[1].due_on)
    rest = await reading.search(conn, Search(), today=NOW.date(), after=after, order=Order.DUE)
    assert [each.invoice_id for each in rest] == [second]
    with pytest.raises(InvalidInput, match="limit 0"):
        await reading.search(conn, Search(), today=NOW.date(), limit=0)


async def test_an_invoice_is_named_by_its_id_or_number(conn: Connection) -> None:
    await open_account(conn)
    invoice = await issue(conn, asked())
    assert await reading.identify(conn, "INV-2026-00001") == invoice
    assert await reading.identify(conn, str(invoice)) == invoice
    for text in ("INV-2026-00002", "\u0663"):
        with pytest.raises(NotFound):
            await reading.identify(conn, text)


async def test_the_tax_report_is_the_sum_of_the_documents(conn: Connection) -> None:
    await open_account(conn)
    await issue(conn, asked())
    await issue(conn, asked("anna", fee(), fee(10_000_000, tax_category="reduced")))
    await issue(conn, asked(kind=Kind.PROFORMA))
    await lifecycle.void(conn, await issue(conn, asked()), actor="test", now=NOW)
    report = await reading.tax_report(conn, "main", date(2026, 3, 1), date(2026, 3, 31))
    assert [(each.category, each.base_micros, each.tax_micros) for each in report] == [
        ("reduced", 10_000_000, 700_000),
        ("standard", 59_980_000, 11_400_000),
    ]
    assert await reading.tax_report(conn, "main", date(2026, 4, 1), date(2026, 4, 30)) == []
