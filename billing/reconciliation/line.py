"""Lines of bank files as they stand: which are payments, and which are still to be decided."""

import enum
from datetime import date, datetime

import asyncpg
import msgspec

from billing.audit import trail
from billing.audit.trail import AuditEvent
from billing.database import Connection
from billing.errors import NotFound
from billing.reconciliation.statement import BankLine
from billing.statements import load

SQL = load(__package__, "queries.sql")


class State(enum.StrEnum):
    """Where a line stands.

    NEW: nobody has decided. PAIRED: it is a payment. PENDING: the bank only announces it. IGNORED:
    it is no payment of a customer's. DUPLICATE: it stands in another file already. ERROR: it could
    not be made a payment, for a reason that it says; it is tried again when processed.
    """

    NEW = "new"
    PAIRED = "paired"
    PENDING = "pending"
    IGNORED = "ignored"
    DUPLICATE = "duplicate"
    ERROR = "error"


class KeptLine(msgspec.Struct, frozen=True, kw_only=True):
    """A line of a file. `score` None: nobody decided, or a person did.

    See billing.reconciliation.statement.BankLine for what the bank told.
    """

    line_id: int
    file_id: int
    line: int
    place: str
    booked_on: date
    amount_micros: int
    currency: str
    payer: str
    payer_account: str
    reference: str
    text: str
    state: State
    reason: str
    score: int | None
    account: str | None
    payment_id: int | None
    pairings: int
    decided_by: str | None
    decided_at: datetime | None

    def as_told(self) -> BankLine:
        """What the bank told of it."""
        return BankLine(
            place=self.place,
            booked_on=self.booked_on,
            amount_micros=self.amount_micros,
            currency=self.currency,
            payer=self.payer,
            payer_account=self.payer_account,
            reference=self.reference,
            text=self.text,
        )


async def get(conn: Connection, line_id: int) -> KeptLine:
    """Return a line. Raises NotFound."""
    return line_of(await conn.fetchrow(SQL["line"], line_id), line_id)


async def list_(
    conn: Connection,
    *,
    after: int | None = None,
    file_id: int | None = None,
    state: State | None = None,
    limit: int = 100,
) -> list[KeptLine]:
    """Return the first lines that fit, in the order they came; `after` is the last id known."""
    rows = await conn.fetch(SQL["lines"], after, file_id, state, limit)
    return [line_of(row, row["line_id"]) for row in rows]


async def history(conn: Connection, line_id: int, limit: int = 100) -> list[AuditEvent]:
    """Return what was decided about a line, the last first. Raises NotFound."""
    await get(conn, line_id)
    return await trail.list_(conn, subject="bank_lines", subject_id=str(line_id), limit=limit)


def line_of(row: asyncpg.Record | None, line_id: int) -> KeptLine:
    """Return a row of `bank_lines` as what it is. Raises NotFound if there is none."""
    if row is None:
        raise NotFound(f"bank line {line_id} does not exist")
    return KeptLine(
        line_id=row["line_id"],
        file_id=row["file_id"],
        line=row["line"],
        place=row["place"],
        booked_on=row["booked_on"],
        amount_micros=row["amount_micros"],
        currency=row["currency"],
        payer=row["payer"],
        payer_account=row["payer_account"],
        reference=row["reference"],
        text=row["text"],
        state=State(row["state"]),
        reason=row["reason"],
        score=row["score"],
        account=row["account_id"],
        payment_id=row["payment_id"],
        pairings=row["pairings"],
        decided_by=row["decided_by"],
        decided_at=row["decided_at"],
    )
