"""Credit notes as they are in Postgres."""

from datetime import date, datetime
from typing import Any, Final

import msgspec

from billing.credit_notes.credit import CreditLine, CreditNote
from billing.database import Connection
from billing.entities.entity import Entity
from billing.errors import InvalidInput, NotFound
from billing.invoices.invoice import Buyer
from billing.invoices.line import LineTax
from billing.invoices.reading import rate_total
from billing.statements import load

SQL = load(__package__, "queries.sql")

_entity: Final = msgspec.json.Decoder(Entity).decode
_buyer: Final = msgspec.json.Decoder(Buyer).decode
_taxes: Final = msgspec.json.Decoder(tuple[LineTax, ...]).decode


class FoundCreditNote(msgspec.Struct, frozen=True):
    """A credit note in a list."""

    credit_note_id: int
    invoice_id: int
    account_id: str
    currency: str
    number: str
    issued_on: date
    total_micros: int
    offset_micros: int
    credit_micros: int
    refund_micros: int
    reason: str
    voided_at: datetime | None


async def get(conn: Connection, credit_note_id: int) -> CreditNote:
    """Return a credit note. Raises NotFound."""
    row = await conn.fetchrow(SQL["get"], credit_note_id)
    if row is None:
        raise NotFound(f"credit note {credit_note_id} does not exist")
    lines: list[CreditLine] = []
    for each in await conn.fetch(SQL["items"], credit_note_id):
        values: dict[str, Any] = dict(each)
        values["taxes"] = _taxes(each["taxes"])
        lines.append(CreditLine(**values))
    return CreditNote(
        credit_note_id=credit_note_id,
        invoice_id=row["invoice_id"],
        invoice_number=row["invoice_number"],
        invoice_issued_on=row["invoice_issued_on"],
        account=row["account_id"],
        currency=row["currency"],
        language=row["language"],
        number=row["number"],
        issued_on=row["issued_on"],
        reason=row["reason"],
        seller=_entity(row["seller"]),
        buyer=_buyer(row["buyer"]),
        lines=tuple(lines),
        taxes=tuple(rate_total(each) for each in await conn.fetch(SQL["taxes"], credit_note_id)),
        net_micros=row["net_micros"],
        tax_micros=row["tax_micros"],
        total_micros=row["total_micros"],
        offset_micros=row["offset_micros"],
        credit_micros=row["credit_micros"],
        refund_micros=row["refund_micros"],
        created_at=row["created_at"],
        voided_at=row["note_voided_at"],
    )


async def identify(conn: Connection, text: str) -> int:
    """Return the id of the credit note that a person names by id or number. Raises NotFound."""
    ids = [row[0] for row in await conn.fetch(SQL["by_number"], text)]
    if len(ids) == 1:
        return ids[0]
    if ids:
        raise InvalidInput(f"several entities have a credit note {text}: name one by its id, {ids}")
    if text.isascii() and text.isdigit() and len(text) < 19:
        return int(text)
    raise NotFound(f"credit note {text} does not exist")


async def list_(
    conn: Connection,
    *,
    account: str | None = None,
    invoice_id: int | None = None,
    limit: int = 100,
    before: int | None = None,
) -> list[FoundCreditNote]:
    """Return the newest credit notes before an id, of an account or an invoice if given."""
    rows = await conn.fetch(SQL["list"], limit, before, account, invoice_id)
    return [msgspec.convert(dict(row), FoundCreditNote) for row in rows]
