"""The files of documents: made from frozen data once, kept, and given out octet for octet again."""

import asyncio
import enum
import hashlib
from datetime import datetime

import msgspec

from billing.credit_notes import reading as credit_notes
from billing.credit_notes.credit import CreditNote
from billing.database import Connection
from billing.documents import content, einvoice, hybrid, loading, typesetting
from billing.documents.storage import Missing, Storage
from billing.errors import Conflict
from billing.invoices import reading as invoices
from billing.invoices.invoice import Invoice
from billing.statements import load

SQL = load(__package__, "queries.sql")


class DocumentKind(enum.StrEnum):
    """What is kept as a file."""

    INVOICE = "invoice"
    CREDIT_NOTE = "credit_note"
    RECEIPT = "receipt"


class Format(enum.StrEnum):
    """As what it is kept. The PDF of what EN 16931 can express is Factur-X: its CII is in it."""

    PDF = "pdf"
    CII = "cii"
    UBL = "ubl"


class File(msgspec.Struct, frozen=True):
    """A document's file: its name, what it is, and its octets."""

    name: str
    media_type: str
    octets: bytes


async def fetch(
    conn: Connection,
    storage: Storage,
    kind: DocumentKind,
    document_id: int,
    file_format: Format,
    *,
    now: datetime,
) -> File:
    """Return a document's file; the first time it is made, and kept.

    A draft's PDF is made and not kept. Raises NotFound, Conflict if it has no such file, or
    storage.Missing if what was kept is gone or was changed.
    """
    row = await conn.fetchrow(SQL["find"], kind, document_id, file_format)
    if row is None:
        document = await _load(conn, kind, document_id, now)
        applied = 0
        if isinstance(document, Invoice):
            applied = await conn.fetchval(SQL["applied"], document_id)
        octets = await asyncio.to_thread(_make, document, applied, file_format)
        digest = hashlib.sha256(octets).digest()
        if isinstance(document, Invoice) and document.number is None:
            return _file(kind, document_id, file_format, octets)
        key = f"{kind}/{document_id // 1000}/{document_id}-{digest.hex()[:16]}.{file_format}"
        await storage.put(key, octets)
        await conn.fetchval(
            SQL["keep"], kind, document_id, file_format, key, digest, len(octets), now
        )
        row = await conn.fetchrow(SQL["find"], kind, document_id, file_format)
        assert row is not None
    octets = await storage.get(row["storage_key"])
    if hashlib.sha256(octets).digest() != row["sha256"]:
        raise Missing(f"{row['storage_key']} is not what was kept; restore it from a backup")
    return _file(kind, document_id, file_format, octets)


async def _load(
    conn: Connection, kind: DocumentKind, document_id: int, now: datetime
) -> Invoice | CreditNote | content.Receipt:
    match kind:
        case DocumentKind.INVOICE:
            return await invoices.get(conn, document_id, now)
        case DocumentKind.CREDIT_NOTE:
            return await credit_notes.get(conn, document_id)
        case DocumentKind.RECEIPT:
            return await loading.receipt(conn, document_id)


def _make(
    document: Invoice | CreditNote | content.Receipt, applied_micros: int, file_format: Format
) -> bytes:
    if isinstance(document, content.Receipt):
        if file_format is not Format.PDF:
            raise Conflict("a receipt is no e-invoice; allowed is pdf")
        made = content.of_receipt(document)
        return typesetting.pdf("document", made, content.made_at(made))
    if file_format is not Format.PDF:
        return einvoice.xml(_terms(document, applied_micros), file_format.value)
    made = (
        content.of_invoice(document, applied_micros)
        if isinstance(document, Invoice)
        else content.of_credit_note(document)
    )
    at = content.made_at(made)
    try:
        terms = _terms(document, applied_micros)
    except Conflict:
        return typesetting.pdf("document", made, at)  # what the standard cannot express
    return hybrid.pdf(made, einvoice.xml(terms, "cii"), at)


def _terms(document: Invoice | CreditNote, applied_micros: int) -> einvoice.Terms:
    if isinstance(document, Invoice):
        return einvoice.invoice_terms(document, applied_micros)
    return einvoice.credit_note_terms(document)


def _file(kind: DocumentKind, document_id: int, file_format: Format, octets: bytes) -> File:
    pdf = file_format is Format.PDF
    suffix = "pdf" if pdf else f"{file_format}.xml"
    media_type = "application/pdf" if pdf else "application/xml"
    return File(f"{kind.replace('_', '-')}-{document_id}.{suffix}", media_type, octets)
