"""What steps of dunning do beside suspending: fees, messages, the end of all services."""

from datetime import date, datetime

import structlog

from billing.accounts.account import PaymentMode
from billing.accounts.register import lock
from billing.database import Connection
from billing.delivery import outbox
from billing.delivery.message import MessageKind
from billing.dunning.decision import Debt
from billing.errors import Conflict
from billing.invoices import drafts
from billing.invoices.finalizing import finalize
from billing.invoices.invoice import NewInvoice
from billing.invoices.line import ItemKind, NewLine
from billing.services.register import cancel
from billing.statements import load

SQL = load(__package__, "queries.sql")

_log = structlog.get_logger(__name__)


async def charge_fee(
    conn: Connection, account: str, description: str, micros: int, *, actor: str, now: datetime
) -> int | None:
    """Invoice a fee at once and return the invoice; None for a fee of nothing.

    Prepaid accounts owe nothing, and get no invoices.
    """
    held = await lock(conn, account)
    if not micros or held.payment_mode is PaymentMode.PREPAID:
        return None
    line = NewLine(kind=ItemKind.FEE, description=description, unit_price_micros=micros)
    invoice = await drafts.create(conn, NewInvoice(account=account, lines=(line,)), now=now)
    await finalize(conn, invoice, actor=actor, now=now)
    await outbox.send_invoices(conn, [invoice], now=now)
    return invoice


async def remind(conn: Connection, account: str, debt: Debt, today: date, now: datetime) -> None:
    """Queue a reminder of what is overdue; who has no address is told to staff."""
    rows = await conn.fetch(SQL["overdue"], account, today)
    try:
        await outbox.remind(
            conn, account, rows[0]["invoice_id"], len(rows) - 1, debt.overdue_micros, now=now
        )
    except Conflict as error:
        _log.warning("a reminder cannot be sent", account=account, reason=str(error))


async def tell_of_suspension(conn: Connection, account: str, debt: Debt, now: datetime) -> None:
    """Queue word of a suspension and of what is to be paid; as `remind`."""
    try:
        await outbox.tell(
            conn, account, MessageKind.SUSPENSION, debt.overdue_micros, debt.currency, now=now
        )
    except Conflict as error:
        _log.warning("word of a suspension cannot be sent", account=account, reason=str(error))


async def cancel_services(
    conn: Connection, account: str, *, reason: str, actor: str, now: datetime
) -> int:
    """Cancel all services of an account, so that its final bill is due; return how many."""
    rows = await conn.fetch(SQL["services_of"], account)
    for row in rows:
        try:
            await cancel(conn, row["service_id"], reason=reason, actor=actor, now=now)
        except Conflict:
            continue  # it was cancelled meanwhile, for a day to come
    return len(rows)
