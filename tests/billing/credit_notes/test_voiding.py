"""A credit note that is voided is as if it had not been, but for its number and its trail."""

import pytest

from billing.credit_notes import reading
from billing.credit_notes.voiding import void
from billing.database import Connection
from billing.errors import Conflict, InvalidInput
from billing.invoices import lifecycle, numbers, settling
from billing.invoices import reading as invoices
from billing.invoices.invoice import Status
from billing.ledger.statement import balance
from tests.billing.credit_notes.test_issuing import TOTAL, CreditedPart, credit
from tests.billing.invoices.books import ledger, prove
from tests.billing.invoices.making import NOW, asked, open_account, open_business
from tests.billing.invoices.test_finalizing import issue as issue_invoice


@pytest.fixture
async def invoice(conn: Connection) -> int:
    """An open invoice."""
    await open_business(conn)
    await open_account(conn)
    return await issue_invoice(conn, asked())


async def undo(conn: Connection, note: int) -> None:
    await void(conn, note, reason="error", actor="eve", now=NOW)


async def test_what_it_took_off_is_owed_again_and_can_be_credited_anew(
    conn: Connection, invoice: int
) -> None:
    before = await ledger(conn)
    for _ in range(2):
        notes = [
            await credit(conn, invoice, *parts) for parts in ((CreditedPart(1, 11_900_000),), ())
        ]
        assert (await invoices.get(conn, invoice, NOW)).status is Status.PAID
        for note in notes:
            await undo(conn, note)
            await prove(conn)
            assert (await reading.get(conn, note)).voided_at == NOW
        assert await ledger(conn) == before
        assert await balance(conn, "anna") == -TOTAL
    again = await invoices.get(conn, invoice, NOW)
    assert (again.status, again.left_micros, again.credited_micros) == (Status.OPEN, TOTAL, 0)
    assert all(each.missing == 0 for each in await numbers.list_(conn))
    report = await invoices.tax_report(conn, "main", NOW.date(), NOW.date())
    assert [each.tax_micros for each in report] == [again.tax_micros]
    # now that nothing of it is credited, the invoice may be voided itself
    await lifecycle.void(conn, invoice, actor="eve", now=NOW)
    assert await ledger(conn) == {}


async def test_it_is_refused_where_it_would_take_what_is_not_there(
    conn: Connection, invoice: int
) -> None:
    with pytest.raises(InvalidInput, match="needs a reason"):
        await void(conn, 1, reason=" ", actor="eve", now=NOW)
    async with conn.transaction():
        await settling.pay(conn, invoice, TOTAL, actor="test", now=NOW)
    note = await credit(conn, invoice, CreditedPart(1, 11_900_000))
    # the next invoice is paid by the credit, in part
    other = await issue_invoice(conn, asked())
    with pytest.raises(Conflict, match=r"gave 11.90 of credit, of which 0.00 are left"):
        await undo(conn, note)
    last, kept = [await credit(conn, other, CreditedPart(1, 1_190_000)) for _ in range(2)]
    await undo(conn, last)
    with pytest.raises(Conflict, match="is void already"):
        await undo(conn, last)
    await lifecycle.mark_uncollectible(conn, other, actor="test", now=NOW)
    with pytest.raises(Conflict, match="is uncollectible, allowed is open or paid"):
        await undo(conn, kept)
    await prove(conn)
