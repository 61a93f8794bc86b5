"""What steps of dunning do beside suspending: fees, messages, the end of all services."""

from datetime import datetime

from billing.accounts.account import PaymentMode
from billing.accounts.register import lock
from billing.database import Connection
from billing.errors import Conflict
from billing.invoices import drafts
from billing.invoices.finalizing import finalize
from billing.invoices.invoice import NewInvoice
from billing.invoices.line import ItemKind, NewLine
from billing.services.register import cancel
from billing.statements import load

SQL = load(__package__, "queries.sql")


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
    return invoice


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
