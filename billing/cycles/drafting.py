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
from billing.cycles.loading import Held, Loaded
from billing.database import Connection
from billing.delivery import outbox
from billing.entities import register as entities
from billing.entities.entity import MAIN, Entity, PrepaidDocuments
from billing.errors import BillingError
from billing.invoices import drafts
from billing.invoices.drafts import Wanted
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


class Refused(msgspec.Struct, frozen=True):
    """An account that cannot be billed, and why; nothing of its bill is written."""

    held: Held
    reason: BillingError


class Drafted(msgspec.Struct, frozen=True):
    """What became of drafts that were due to be finalized."""

    finalized: int
    refused: int


async def draft(
    conn: Connection,
    run: int,
    bills: Sequence[tuple[Loaded, Bill]],
    *,
    actor: str,
    now: datetime,
) -> list[Made | Refused]:
    """Put bills, each of another account, on drafts, in the transaction that has taken them.

    Returns what became of each.
    """
    asking = [(loaded, bill, _shown(bill)) for loaded, bill in bills if bill.amount_micros >= 0]
    outcomes = dict(
        zip(
            (loaded.held.account for loaded, _, _ in asking),
            await _asked_for(conn, asking, now),
            strict=True,
        )
    )
    [seller] = (await entities.get_many(conn, [MAIN])).values()
    for loaded, bill in bills:
        if bill.amount_micros < 0:
            outcomes[loaded.held.account] = await _given_back(
                conn, loaded, bill, seller, actor, now
            )
    done = [each for each in outcomes.values() if isinstance(each, Made)]
    prepaid = [each for each in done if each.held.payment_mode is PaymentMode.PREPAID]
    fees = [(each.bill, _taken(each.bill, seller)) for each in prepaid]
    await _take_from_credit(conn, [fee for fee in fees if fee[1]], actor, now)
    await _review(conn, run, done, now)
    return [outcomes[loaded.held.account] for loaded, _ in bills]


def _taken(bill: Bill, seller: Entity) -> int:
    """What of a prepaid account's bill is taken from its credit, or given back if negative: without
    what credit notes give back.
    """
    if bill.amount_micros >= 0 or _told_only(seller):
        return bill.amount_micros
    return sum(
        item.amount_micros - item.discount_micros for item in bill.items if item.amount_micros > 0
    )


def _told_only(seller: Entity) -> bool:
    """Whether tax falls due with the top-up: what prepaid accounts use is only told then."""
    return seller.prepaid_documents is PrepaidDocuments.TOPUP


def _shown(bill: Bill) -> Sequence[Item]:
    return [item for item in bill.items if item.amount_micros or item.discount_micros]


async def _asked_for(
    conn: Connection, bills: Sequence[tuple[Loaded, Bill, Sequence[Item]]], now: datetime
) -> list[Made | Refused]:
    """Make a draft of the items of each bill that are to stand on one, and of usage."""
    [seller] = (await entities.get_many(conn, [MAIN])).values()
    wanted = [
        Wanted(
            _document(loaded.held, bill, items, seller),
            midnight(bill.bill_on, loaded.held.zone),
            optional=True,
        )
        for loaded, bill, items in bills
    ]
    outcomes: list[Made | Refused] = []
    made = await drafts.create_many(conn, wanted, now=now)
    for (loaded, bill, items), invoice in zip(bills, made, strict=True):
        if isinstance(invoice, BillingError):
            outcomes.append(Refused(loaded.held, invoice))
            continue
        numbers = {id(item): number for number, item in enumerate(items, 1)}
        lines = tuple(numbers.get(id(item)) for item in bill.items)
        outcomes.append(Made(loaded.held, bill, invoice, () if invoice is None else lines))
    return outcomes


async def _given_back(
    conn: Connection, loaded: Loaded, bill: Bill, seller: Entity, actor: str, now: datetime
) -> Made | Refused:
    """Give back what a bill credits, and ask for the rest; all of it or nothing.

    By credit notes, but where a prepaid account's fees stand on no tax document.
    """
    prepaid = loaded.held.payment_mode is PaymentMode.PREPAID
    shown = _shown(bill)
    back = [item for item in shown if item.amount_micros < 0]
    rest = [item for item in shown if item.amount_micros >= 0]
    try:
        async with conn.transaction():
            if not (prepaid and _told_only(seller)):
                await give_back(conn, back, loaded.sources, actor=actor, now=now)
            [made] = await _asked_for(conn, [(loaded, bill, rest)], now)
            if isinstance(made, Refused):
                raise made.reason
            return made
    except BillingError as error:
        return Refused(loaded.held, error)


def _document(held: Held, bill: Bill, items: Sequence[Item], seller: Entity) -> NewInvoice:
    prepaid = held.payment_mode is PaymentMode.PREPAID
    charged = Kind.STATEMENT if _told_only(seller) else Kind.CONSUMPTION
    return NewInvoice(
        account=held.account,
        kind=charged if prepaid else Kind.INVOICE,
        lines=tuple(_line(item, charged=prepaid) for item in items),
        usage=bool(bill.closed),
        period_from=min(period.start for period in bill.closed) if bill.closed else None,
        period_until=max(period.end for period in bill.closed) if bill.closed else None,
    )


async def _review(conn: Connection, run: int, made: Sequence[Made], now: datetime) -> None:
    """Put drafts on the list of those to be reviewed, with the moment when that ends."""
    await conn.copy_records_to_table(
        "draft_reviews",
        columns=["invoice_id", "run_id", "finalize_at"],
        records=[
            (
                each.invoice,
                run,
                None if each.held.needs_approval else now + timedelta(days=each.held.review_days),
            )
            for each in made
            if each.invoice is not None
        ],
    )


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
        await outbox.send_invoices(conn, done, now=now)
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


async def _take_from_credit(
    conn: Connection, bills: Sequence[tuple[Bill, int]], actor: str, now: datetime
) -> None:
    """Take so much for each bill from its account's credit, or give it back: in the ledger, and on
    to the store.
    """
    fees = [
        Transaction(
            Entry.FEE,
            bill.account,
            f"fees of {bill.bill_on}",
            actor,
            (
                Posting(Ledger.CUSTOMER_CREDIT, bill.account, bill.currency, micros),
                Posting(Ledger.REVENUE, None, bill.currency, -micros),
            ),
        )
        for bill, micros in bills
    ]
    await journal.write_many(conn, fees, now)
    await post(conn, [Post(bill.account, UNNUMBERED, -micros) for bill, micros in bills], now)
