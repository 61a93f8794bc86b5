"""Putting bills on documents: drafts that are reviewed, or finalized at once.

A postpaid account gets an invoice, with the usage that was settled before the bill's day began if
the bill closes a cycle. A prepaid account pays its fees from its credit at once, and gets the tax
document for them. A bill that comes to less than nothing gives back by credit notes.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec

from balances.messages import Post
from billing.accounts.account import PaymentMode
from billing.cycles.bill import Bill, Item
from billing.cycles.booking import Made
from billing.cycles.calendar import midnight
from billing.cycles.giving_back import give_back
from billing.cycles.loading import Loaded
from billing.database import Connection
from billing.invoices import charges, drafts
from billing.invoices.finalizing import finalize_many
from billing.invoices.invoice import Kind, NewInvoice
from billing.invoices.line import ItemKind, NewLine
from billing.ledger import journal
from billing.ledger.chart import Ledger
from billing.ledger.transaction import Kind as Entry
from billing.ledger.transaction import Posting, Transaction
from billing.outbox.post import UNNUMBERED, post
from billing.statements import load

SQL = load(__package__, "queries.sql")

#: Drafts that are finalized in one transaction.
_PAGE: Final = 200


class Drafted(msgspec.Struct, frozen=True):
    """What became of drafts that were due to be finalized."""

    finalized: int
    refused: int


async def draft(
    conn: Connection, run: int, loaded: Loaded, bill: Bill, *, actor: str, now: datetime
) -> Made:
    """Put a bill on a draft, in the transaction that has taken its account.

    Raises BillingError if there cannot be one.
    """
    held = loaded.held
    prepaid = held.payment_mode is PaymentMode.PREPAID
    until = midnight(bill.bill_on, held.zone)
    shown = [item for item in bill.items if item.amount_micros or item.discount_micros]
    if prepaid:
        await _take_from_credit(conn, bill, actor, now)
    elif bill.amount_micros < 0:
        back = [item for item in shown if item.amount_micros < 0]
        await give_back(conn, back, loaded.sources, actor=actor, now=now)
        shown = [item for item in shown if item.amount_micros >= 0]
    usage = bool(bill.closed)
    if not shown and not (usage and await charges.waiting(conn, held.account, until)):
        return Made(held, bill)
    new = NewInvoice(
        account=held.account,
        kind=Kind.CONSUMPTION if prepaid else Kind.INVOICE,
        lines=tuple(_line(item, charged=prepaid) for item in shown),
        usage=usage,
        period_from=min(period.start for period in bill.closed) if bill.closed else None,
        period_until=max(period.end for period in bill.closed) if bill.closed else None,
    )
    invoice = await drafts.create(conn, new, until=until if usage else None, now=now)
    at = None if held.needs_approval else now + timedelta(days=held.review_days)
    await conn.execute(SQL["add_review"], invoice, run, at)
    numbers = {id(item): number for number, item in enumerate(shown, 1)}
    return Made(held, bill, invoice, tuple(numbers.get(id(item)) for item in bill.items))


async def finalize_due(conn: Connection, now: datetime, *, actor: str) -> Drafted:
    """Finalize the drafts whose review has ended; those that cannot be are told, and kept."""
    done = refused = 0
    last = 0
    while rows := await conn.fetch(SQL["reviewed"], now, last, _PAGE):
        last = rows[-1]["invoice_id"]
        some = await finalize_reviewed(conn, [row["invoice_id"] for row in rows], actor, now)
        done += some.finalized
        refused += some.refused
    return Drafted(done, refused)


async def finalize_reviewed(
    conn: Connection, invoices: Sequence[int], actor: str, now: datetime
) -> Drafted:
    """Finalize drafts in one transaction, and take them off the list of those to be reviewed."""
    async with conn.transaction():
        outcome = await finalize_many(conn, invoices, actor=actor, now=now)
        done = [each.invoice_id for each in outcome.finalized]
        await conn.execute(SQL["drop_reviews"], done)
        await conn.execute(
            SQL["note_refusals"],
            [each.invoice_id for each in outcome.refused],
            [each.reason for each in outcome.refused],
        )
    return Drafted(len(done), len(outcome.refused))


async def approve(conn: Connection, run: int, *, actor: str, now: datetime) -> Drafted:
    """Approve all drafts of a run that wait: they are finalized now. Repeated, it does nothing."""
    await conn.execute(SQL["approve"], run, now, actor)
    return await finalize_due(conn, now, actor=actor)


def _line(item: Item, *, charged: bool) -> NewLine:
    net = item.amount_micros - item.discount_micros
    plain = charged or item.amount_micros < 0
    return NewLine(
        kind=ItemKind.CREDIT if item.amount_micros < 0 else ItemKind(item.kind),
        description=item.description,
        unit_price_micros=net if plain else item.amount_micros,
        discount_micros=0 if plain else item.discount_micros,
        discount_reason="" if plain else item.discount_reason[:200],
        charged=charged,
        tax_category=item.tax_category or None,
        service_from=item.period.start,
        service_until=item.period.end,
    )


async def _take_from_credit(conn: Connection, bill: Bill, actor: str, now: datetime) -> None:
    """Take a bill from an account's credit, or give it back: in the ledger, and on to the store."""
    if not bill.amount_micros:
        return
    fee = Transaction(
        Entry.FEE,
        bill.account,
        f"fees of {bill.bill_on}",
        actor,
        (
            Posting(Ledger.CUSTOMER_CREDIT, bill.account, bill.currency, bill.amount_micros),
            Posting(Ledger.REVENUE, None, bill.currency, -bill.amount_micros),
        ),
    )
    await journal.write(conn, fee, now)
    await post(conn, [Post(bill.account, UNNUMBERED, -bill.amount_micros)], now)
