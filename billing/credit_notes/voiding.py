"""Voiding credit notes: the number stays taken, what it booked is taken back, the debt is back."""

from datetime import datetime

from billing.credit_notes import reading
from billing.credit_notes.issuing import entries_of
from billing.database import Connection
from billing.errors import Conflict, InvalidInput
from billing.invoices import settling
from billing.invoices.invoice import Status
from billing.invoices.postings import opposite
from billing.ledger import journal
from billing.ledger.statement import credit as credit_of
from billing.ledger.transaction import Kind as Entry
from billing.ledger.transaction import Transaction
from billing.statements import load
from rating.money import format_micros

SQL = load(__package__, "queries.sql")


async def void(
    conn: Connection, credit_note_id: int, *, reason: str, actor: str, now: datetime
) -> None:
    """Void a credit note: its invoice asks for what it had taken off, and can be credited anew.

    Raises InvalidInput without a reason, NotFound, or Conflict: it is void, its invoice is written
    off, the credit that it gave is used or paid out, or a billing run issued it for days that a
    service was not there.
    """
    if not reason.strip():
        raise InvalidInput("voiding a credit note needs a reason")
    async with conn.transaction():
        note = await reading.get(conn, credit_note_id)
        left = await settling.left_on(conn, note.invoice_id)
        note = await reading.get(conn, credit_note_id)  # as it is now that its account is held
        if note.voided_at is not None:
            raise Conflict(f"credit note {note.number} is void already")
        if left.status not in (Status.OPEN, Status.PAID):
            raise Conflict(
                f"credit note {note.number}: invoice {left.number} is {left.status}, allowed is"
                " open or paid"
            )
        if await conn.fetchval(SQL["of_a_run"], credit_note_id):
            raise Conflict(
                f"credit note {note.number} is for days on which a service was not there; change"
                " the service, and its next bill asks for them"
            )
        given = note.credit_micros + note.refund_micros
        has = await credit_of(conn, note.account)
        if given > has:
            raise Conflict(
                f"credit note {note.number} gave {format_micros(given, note.currency)} of credit,"
                f" of which {format_micros(max(has, 0), note.currency)} are left; the rest is used"
                " or paid out"
            )
        made = entries_of(note.account, note.currency, note.lines, note.offset_micros, given)
        back = Transaction(
            Entry.VOID, note.account, f"void {note.number}", actor, opposite(made.postings())
        )
        transaction_id = await journal.write(conn, back, now)
        await settling.credit(
            conn, note.invoice_id, -note.total_micros, -note.offset_micros, now=now
        )
        await settling.move_balance(conn, note.account, -made.moves_balance_by, now)
        await conn.execute(SQL["void"], credit_note_id, reason, actor, transaction_id, now)
