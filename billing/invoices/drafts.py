"""Drafts: made, changed, deleted; and previews, which are drafts that nobody writes."""

from datetime import datetime
from typing import Any, Final

import msgspec

from billing.accounts.register import lock, refuse_closed
from billing.database import Connection
from billing.entities.entity import LANGUAGES, Entity
from billing.errors import Conflict, InvalidInput
from billing.invoices import charges, composing, reading
from billing.invoices.charges import Share
from billing.invoices.invoice import Buyer, Invoice, NewInvoice, Status, check
from billing.invoices.line import ItemKind, Line, Priced
from billing.invoices.writing import write_lines
from billing.statements import load

SQL = load(__package__, "queries.sql")

_encode: Final = msgspec.json.Encoder().encode


class _Made(msgspec.Struct, frozen=True):
    """A document, and what it is made from."""

    new: NewInvoice
    account: composing.Account
    entity: Entity
    buyer: Buyer
    language: str
    shares: list[Share]
    priced: Priced


async def preview(
    conn: Connection, new: NewInvoice, *, until: datetime | None = None, now: datetime
) -> Invoice:
    """Return what `create` would make, without a number, a lock or anything written.

    Raises as `create` does.
    """
    waiting = await charges.waiting(conn, new.account, until or now) if new.usage else []
    return _shown(await _make(conn, new, waiting, now), now)


async def create(
    conn: Connection,
    new: NewInvoice,
    *,
    until: datetime | None = None,
    replaces: int | None = None,
    now: datetime,
) -> int:
    """Make a draft and return its id; its usage is what was settled before `until` (None: by now).

    Raises InvalidInput, NotFound, or Conflict.
    """
    async with conn.transaction():
        if new.usage:
            until = await charges.cut_off(conn, until or now)
        held = await lock(conn, new.account)
        if not new.kind.settled_before:
            refuse_closed(held)
        waiting: list[Share] = []
        if new.usage:
            assert until is not None
            waiting = await charges.waiting(conn, new.account, until)
        made = await _make(conn, new, waiting, now)
        invoice_id: int = await conn.fetchval(SQL["insert"], *_row(made, replaces), 1, now)
        await write_lines(conn, [(invoice_id, line) for line in made.priced.lines])
        if new.usage:
            assert until is not None
            await charges.take(conn, new.account, until, invoice_id, _usage_lines(made.priced))
        return invoice_id


async def change(
    conn: Connection,
    invoice_id: int,
    new: NewInvoice,
    *,
    revision: int | None = None,
    now: datetime,
) -> None:
    """Make a draft what `new` says; its account, kind and entity stay, and its usage does.

    `revision` is what its author had seen: Conflict if it is another one now. Raises as `create`.
    """
    async with conn.transaction():
        before = await _hold_draft(conn, invoice_id, now)
        if revision not in (None, before.revision):
            raise Conflict(
                f"invoice {invoice_id} was changed meanwhile: it is at revision {before.revision}"
            )
        asked = (new.account, new.kind, new.entity)
        if asked != (before.account, before.kind, before.seller.entity):
            raise InvalidInput(
                f"invoice {invoice_id}: account, kind and entity of a draft stay; make another one"
            )
        kept = [line for line in before.lines if line.kind is ItemKind.USAGE]
        made = await _make(conn, msgspec.structs.replace(new, usage=False), [], now, kept)
        await conn.execute(SQL["delete_items"], [invoice_id])
        await conn.execute(SQL["change"], invoice_id, *_changed(made), now)
        await write_lines(conn, [(invoice_id, line) for line in made.priced.lines])
        await charges.move(conn, invoice_id, _usage_lines(made.priced))


async def delete(conn: Connection, invoice_id: int, *, now: datetime) -> None:
    """Delete a draft; its usage waits for another one. Raises NotFound, or Conflict."""
    async with conn.transaction():
        await _hold_draft(conn, invoice_id, now)
        await charges.release(conn, [invoice_id])
        await conn.execute(SQL["delete"], invoice_id)


async def _hold_draft(conn: Connection, invoice_id: int, now: datetime) -> Invoice:
    """Hold a draft and its account until the transaction ends."""
    before = await reading.get(conn, invoice_id, now)
    await lock(conn, before.account)
    await conn.execute(SQL["hold"], [invoice_id])
    before = await reading.get(conn, invoice_id, now)
    if before.status is not Status.DRAFT:
        raise Conflict(
            f"invoice {before.number} is {before.status}, and only drafts can be changed;"
            " correct it by a credit note"
        )
    return before


async def _make(
    conn: Connection,
    new: NewInvoice,
    waiting: list[Share],
    now: datetime,
    kept: list[Line] | None = None,
) -> _Made:
    account = await composing.account_of(conn, new.account)
    check(new, account.mode)
    if new.language not in (None, *LANGUAGES):
        raise InvalidInput(f"language {new.language!r}: allowed are {', '.join(LANGUAGES)}")
    shares = charges.by_plan(waiting)
    plans = {line.plan for line in (*new.lines, *(kept or ())) if line.plan is not None}
    around = await composing.gather(
        conn,
        entity_names=[new.entity],
        accounts=[new.account],
        plans=plans | {share.plan for share in shares},
    )
    entity = around.entities[new.entity]
    buyer = new.buyer or around.buyers[new.account]
    language = new.language or buyer.language
    if language not in LANGUAGES:
        language = entity.language
    lines = composing.lines_of(new.lines, shares, entity=entity, kind=new.kind, language=language)
    lines += [
        msgspec.structs.replace(line, line=number)
        for number, line in enumerate(kept or (), len(lines) + 1)
    ]
    priced = composing.compose(
        lines,
        kind=new.kind,
        entity=entity,
        buyer=buyer,
        currency=account.currency,
        around=around,
        day=new.tax_point or composing.local_day(entity, now),
    )
    return _Made(new, account, entity, buyer, language, shares, priced)


def _usage_lines(priced: Priced) -> dict[str, int]:
    """The lines of usage by plan."""
    return {line.usage.plan: line.line for line in priced.lines if line.usage is not None}


def _row(made: _Made, replaces: int | None) -> tuple[Any, ...]:
    new = made.new
    language, reference, note, since, until, day, days, rounding, buyer, *totals = _changed(made)
    return (
        *(new.kind, new.entity, new.account, made.account.currency, language, reference, note),
        *(since, until, day, days, rounding, replaces, buyer, *totals),
    )


def _changed(made: _Made) -> tuple[Any, ...]:
    """What a draft may change, in the order of the statement."""
    new, taxed = made.new, made.priced.taxed
    return (
        made.language,
        new.reference,
        new.note,
        new.period_from,
        new.period_until,
        new.tax_point,
        made.account.payment_days if new.payment_days is None else new.payment_days,
        made.entity.tax_rounding,
        None if new.buyer is None else _encode(new.buyer),
        made.priced.discount_micros,
        taxed.net_micros,
        taxed.tax_micros,
        taxed.gross_micros,
    )


def _shown(made: _Made, now: datetime) -> Invoice:
    new, taxed = made.new, made.priced.taxed
    return Invoice(
        invoice_id=None,
        kind=new.kind,
        status=Status.DRAFT,
        revision=0,
        account=new.account,
        currency=made.account.currency,
        language=made.language,
        reference=new.reference,
        note=new.note,
        period_from=new.period_from,
        period_until=new.period_until,
        tax_point=new.tax_point or composing.local_day(made.entity, now),
        payment_days=made.account.payment_days if new.payment_days is None else new.payment_days,
        tax_rounding=made.entity.tax_rounding,
        replaces=None,
        number=None,
        issued_on=None,
        due_on=None,
        seller=made.entity,
        buyer=made.buyer,
        lines=made.priced.lines,
        taxes=taxed.totals,
        discount_micros=made.priced.discount_micros,
        net_micros=taxed.net_micros,
        tax_micros=taxed.tax_micros,
        total_micros=taxed.gross_micros,
    )
