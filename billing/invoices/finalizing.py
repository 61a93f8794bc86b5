"""Finalizing: a draft is frozen, booked, and gets its number and date, all in one transaction.

Everything is computed anew from the lines that the draft has, by the way that made it; then the
ledger is written, and at the very end one statement takes the numbers. So a crash anywhere before
the commit leaves a draft and no gap, and a series is held only from its number to the commit.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from typing import Final

import msgspec

from balances.messages import Post
from billing.database import Connection
from billing.errors import BillingError, Conflict, InvalidInput, NotFound
from billing.invoices import composing, postings, reading
from billing.invoices.invoice import Invoice, Kind, Status
from billing.invoices.line import Priced
from billing.invoices.numbers import written
from billing.invoices.postings import Entries
from billing.invoices.writing import write_lines, write_totals
from billing.ledger import journal
from billing.ledger.transaction import Kind as Entry
from billing.ledger.transaction import Transaction
from billing.outbox.post import UNNUMBERED, post
from billing.payments.drawing import PaidByCredit, draw
from billing.statements import load
from rating.money import format_micros

SQL = load(__package__, "queries.sql")

#: So many are finalized in one transaction at most: it holds their series.
MAX_AT_ONCE: Final = 1000

_encode: Final = msgspec.json.Encoder().encode


class Finalized(msgspec.Struct, frozen=True):
    """The number and date that a document got."""

    invoice_id: int
    number: str
    issued_on: date


class Refused(msgspec.Struct, frozen=True):
    """A draft that could not be finalized, and why; nothing of it was changed."""

    invoice_id: int
    reason: str


class Outcome(msgspec.Struct, frozen=True):
    """What became of drafts that were to be finalized together."""

    finalized: list[Finalized]
    refused: list[Refused]


class _Ready(msgspec.Struct, frozen=True):
    """A document as it is to be frozen, with what it books."""

    invoice: Invoice
    priced: Priced
    entries: Entries
    credit_micros: int

    @property
    def paid_micros(self) -> int:
        """What is paid as soon as it is finalized."""
        settled = self.invoice.kind.settled_before
        return self.invoice.total_micros if settled else self.credit_micros


async def finalize(conn: Connection, invoice_id: int, *, actor: str, now: datetime) -> Finalized:
    """Finalize a draft. Raises NotFound, InvalidInput, or Conflict: it is none, or cannot be."""
    outcome = await _finalize(conn, [invoice_id], actor, now, strict=True)
    return outcome.finalized[0]


async def finalize_many(
    conn: Connection, invoice_ids: Sequence[int], *, actor: str, now: datetime
) -> Outcome:
    """Finalize drafts in one transaction; those that cannot be are left, and told."""
    if len(invoice_ids) > MAX_AT_ONCE:
        raise InvalidInput(f"{len(invoice_ids)} drafts at once: allowed are {MAX_AT_ONCE}")
    return await _finalize(conn, invoice_ids, actor, now, strict=False)


async def _finalize(
    conn: Connection, ids: Sequence[int], actor: str, now: datetime, *, strict: bool
) -> Outcome:
    async with conn.transaction():
        drafts = await _hold(conn, ids, now)
        refused = [
            Refused(number, f"invoice {number} does not exist")
            for number in ids
            if number not in drafts
        ]
        if refused and strict:
            raise NotFound(refused[0].reason)
        around = await composing.gather(
            conn,
            entity_names={invoice.seller.entity for invoice in drafts.values()},
            accounts=(),
            plans={line.plan for each in drafts.values() for line in each.lines if line.plan},
        )
        credit = await _credit(conn, drafts.values())
        ready: list[_Ready] = []
        for invoice in drafts.values():
            try:
                ready.append(_prepare(invoice, around, credit))
            except BillingError as error:
                if strict:
                    raise
                assert invoice.invoice_id is not None
                refused.append(Refused(invoice.invoice_id, str(error)))
        if not ready:
            return Outcome([], refused)
        await _freeze(conn, drafts, ready, actor, now)
        return Outcome(await _number(conn, ready, now), refused)


async def _hold(conn: Connection, ids: Sequence[int], now: datetime) -> dict[int, Invoice]:
    """Hold the invoices and their accounts, accounts first, and return them."""
    rows = await conn.fetch(SQL["accounts_of"], list(ids))
    await conn.fetch(SQL["hold_accounts"], list({row["account_id"] for row in rows}))
    await conn.fetch(SQL["hold"], list(ids))
    return await reading.get_many(conn, ids, now)


async def _credit(conn: Connection, drafts: Iterable[Invoice]) -> dict[str, int]:
    """The credit of the accounts whose invoices it may pay."""
    accounts = {draft.account for draft in drafts if draft.kind is Kind.INVOICE}
    rows = await conn.fetch(SQL["credit_of"], list(accounts))
    return {row["account_id"]: row["micros"] for row in rows}


def _prepare(draft: Invoice, around: composing.Surroundings, credit: dict[str, int]) -> _Ready:
    if draft.status is not Status.DRAFT:
        raise Conflict(f"invoice {draft.number} is {draft.status}: it was finalized before")
    if not draft.lines:
        raise Conflict(f"invoice {draft.invoice_id} has no lines")
    priced = composing.compose(
        draft.lines,
        kind=draft.kind,
        entity=draft.seller,
        buyer=draft.buyer,
        currency=draft.currency,
        around=around,
        day=draft.tax_point,
    )
    taxed = priced.taxed
    if taxed.gross_micros < 0:
        raise Conflict(
            f"invoice {draft.invoice_id} comes to"
            f" {format_micros(taxed.gross_micros, draft.currency)}: allowed is 0 or more;"
            " give back by a credit note"
        )
    invoice = msgspec.structs.replace(
        draft,
        lines=priced.lines,
        taxes=taxed.totals,
        discount_micros=priced.discount_micros,
        net_micros=taxed.net_micros,
        tax_micros=taxed.tax_micros,
        total_micros=taxed.gross_micros,
    )
    paying = 0
    if draft.kind is Kind.INVOICE:
        paying = max(0, min(credit.get(draft.account, 0), taxed.gross_micros))
        credit[draft.account] = credit.get(draft.account, 0) - paying
    return _Ready(invoice, priced, postings.finalized(invoice, paying), paying)


async def _freeze(
    conn: Connection, drafts: dict[int, Invoice], ready: Sequence[_Ready], actor: str, now: datetime
) -> None:
    by_id = {_id(each): each for each in ready}
    changed = [n for n, each in by_id.items() if each.priced.lines != drafts[n].lines]
    if changed:
        await conn.execute(SQL["delete_items"], changed)
        await write_lines(conn, [(n, line) for n in changed for line in by_id[n].priced.lines])
    await write_totals(conn, {number: each.priced for number, each in by_id.items()})
    booked = {number: each for number, each in by_id.items() if each.entries.postings()}
    transactions = [
        Transaction(
            Entry.INVOICE,
            each.invoice.account,
            f"{each.invoice.kind} {number}",
            actor,
            each.entries.postings(),
        )
        for number, each in booked.items()
    ]
    entry_ids = await journal.write_many(conn, transactions, now)
    entries = dict(zip(booked, entry_ids, strict=True))
    await draw(
        conn,
        [
            PaidByCredit(each.invoice.account, number, each.credit_micros, entries[number])
            for number, each in by_id.items()
            if each.credit_micros
        ],
        now,
    )
    moved = [
        Post(each.invoice.account, UNNUMBERED, each.entries.moves_balance_by)
        for each in ready
        if each.entries.moves_balance_by
    ]
    await post(conn, moved, now)
    rows = [
        (
            number,
            each.invoice.discount_micros,
            each.invoice.net_micros,
            each.invoice.tax_micros,
            each.invoice.tax_point,
            _encode(each.invoice.seller),
            _encode(each.invoice.buyer),
            entries.get(number),
        )
        for number, each in by_id.items()
    ]
    columns = (list(column) for column in zip(*rows, strict=True))
    await conn.execute(SQL["freeze_totals"], *columns, now)


async def _number(conn: Connection, ready: Sequence[_Ready], now: datetime) -> list[Finalized]:
    series: defaultdict[tuple[str, str, int], list[_Ready]] = defaultdict(list)
    for each in ready:
        day = composing.local_day(each.invoice.seller, now)
        series[each.invoice.seller.entity, each.invoice.kind.series, day.year].append(each)
    found: dict[int, Finalized] = {}
    # In one order, so that two who take from several series do not wait for each other.
    for key in sorted(series):
        await conn.execute(SQL["begin_series"], *key)
        members = series[key]
        seller = members[0].invoice.seller
        look = written(seller, key[1], key[2])
        rows = await conn.fetch(
            SQL["take_numbers"],
            *key,
            [_id(each) for each in members],
            [each.paid_micros for each in members],
            composing.local_day(seller, now),
            look.before,
            look.digits,
            look.after,
            now,
        )
        assert len(rows) == len(members), "every held draft is there"
        for row in rows:
            found[row["invoice_id"]] = Finalized(row["invoice_id"], row["number"], row["issued_on"])
    return [found[_id(each)] for each in ready]


def _id(ready: _Ready) -> int:
    assert ready.invoice.invoice_id is not None
    return ready.invoice.invoice_id
