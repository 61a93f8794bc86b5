"""A document's file is made once and never changes."""

import asyncio
from pathlib import Path

import pytest

from billing.credit_notes.credit import NewCreditNote
from billing.credit_notes.issuing import issue as issue_credit_note
from billing.database import Connection, Pool
from billing.documents.archive import DocumentKind, Format, fetch
from billing.documents.storage import FileStorage, Missing
from billing.errors import Conflict, NotFound
from billing.invoices import drafts, settling
from tests.billing.documents.test_typesetting import text_of
from tests.billing.invoices.making import LATER, NOW, asked
from tests.billing.invoices.test_finalizing import issue

pytestmark = pytest.mark.usefixtures("business")


async def test_a_reprint_is_the_same_octets_whatever_happened_since(
    conn: Connection, pool: Pool, storage: FileStorage, tmp_path: Path
) -> None:
    invoice = await issue(conn, asked())

    async def print_it(file_format: Format = Format.PDF) -> bytes:
        async with pool.acquire() as own:
            found = await fetch(own, storage, DocumentKind.INVOICE, invoice, file_format, now=LATER)
        return found.octets

    first, same = await asyncio.gather(print_it(), print_it())
    assert first == same
    async with conn.transaction():
        await settling.pay(conn, invoice, 1_000_000, actor="test", now=NOW)
    assert await print_it() == first
    assert "35.69" in text_of(first)
    assert b"CrossIndustryInvoice" in await print_it(Format.CII)
    assert b"urn:oasis" in await print_it(Format.UBL)
    for path in tmp_path.rglob("*.pdf"):
        path.write_bytes(b"other")
    with pytest.raises(Missing, match="is not what was kept"):
        await print_it()


async def test_a_draft_can_be_printed_and_is_not_kept(
    conn: Connection, storage: FileStorage
) -> None:
    draft = await drafts.create(conn, asked(), now=NOW)
    found = await fetch(conn, storage, DocumentKind.INVOICE, draft, Format.PDF, now=NOW)
    assert (found.name, found.media_type) == (f"invoice-{draft}.pdf", "application/pdf")
    assert "Draft" in text_of(found.octets)
    assert not await conn.fetch("SELECT FROM documents")
    with pytest.raises(Conflict, match="has no e-invoice"):
        await fetch(conn, storage, DocumentKind.INVOICE, draft, Format.UBL, now=NOW)
    with pytest.raises(NotFound):
        await fetch(conn, storage, DocumentKind.CREDIT_NOTE, 1, Format.PDF, now=NOW)


async def test_a_credit_note_names_its_invoice(conn: Connection, storage: FileStorage) -> None:
    invoice = await issue(conn, asked())
    new = NewCreditNote(invoice_id=invoice, reason="Outage")
    note = await issue_credit_note(conn, new, actor="test", now=NOW)
    found = await fetch(conn, storage, DocumentKind.CREDIT_NOTE, note, Format.PDF, now=NOW)
    text = text_of(found.octets)
    assert "CN-2026-00001" in text
    assert "INV-2026-00001" in text
