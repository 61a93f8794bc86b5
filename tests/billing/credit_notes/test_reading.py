"""Finding credit notes."""

import pytest

from billing.credit_notes import reading
from billing.credit_notes.credit import NewCreditNote
from billing.credit_notes.issuing import issue
from billing.database import Connection
from billing.errors import NotFound
from tests.billing.invoices.making import BUYER, NOW, SELLER, asked, open_account, open_business
from tests.billing.invoices.test_finalizing import issue as issue_invoice


async def test_a_credit_note_is_found_by_its_number_and_account(conn: Connection) -> None:
    await open_business(conn)
    await open_account(conn)
    invoice = await issue_invoice(conn, asked())
    new = NewCreditNote(invoice_id=invoice, reason="Outage")
    note = await issue(conn, new, actor="test", now=NOW)
    assert await reading.identify(conn, "CN-2026-00001") == note
    assert await reading.identify(conn, str(note)) == note
    found = await reading.get(conn, note)
    assert (found.seller, found.buyer, found.invoice_number) == (SELLER, BUYER, "INV-2026-00001")
    assert [each.credit_note_id for each in await reading.list_(conn, account="anna")] == [note]
    assert await reading.list_(conn, account="bert") == []
    for text in ("CN-1", "x"):
        with pytest.raises(NotFound):
            await reading.identify(conn, text)
    with pytest.raises(NotFound):
        await reading.get(conn, 10_000)
