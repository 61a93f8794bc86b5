"""Drafts: made, changed, deleted; and previews, which are drafts that nobody writes."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec

from billing.accounts.register import LockedAccount, lock, lock_many, refuse_closed
from billing.database import Connection
from billing.entities.entity import LANGUAGES, Entity
from billing.errors import BillingError, Conflict, InvalidInput, NotFound
from billing.invoices import charges, composing, reading
from billing.invoices.charges import Taken, Waiting
from billing.invoices.invoice import Buyer, Invoice, NewInvoice, Status, check
from billing.invoices.line import ItemKind, Line, Priced
from billing.invoices.writing import write_lines
from billing.statements import load

SQL = load(__package__, "queries.sql")

_encode: Final = msgspec.json.Encoder().encode

_COLUMNS: Final = [
    *("invoice_id", "kind", "entity", "account_id", "currency", "replaces", "language"),
    *("reference", "note", "period_from", "period_until", "tax_point", "payment_days"),
    *("tax_rounding", "buyer", "discount_micros", "net_micros", "tax_micros", "total_micros"),
    *("revision", "created_at", "changed_at"),
]


class Wanted(msgspec.Struct, frozen=True):
    """A draft that is to be made, with the usage that was settled before a moment; None: by now.

    One that is `optional` is not made if it comes to have no line.
    """

    new: NewInvoice
    until: datetime | None = None
    replaces: int | None = None
    optional: bool = False


class _Made(msgspec.Struct, frozen=True):
    """A document, and what it is made from."""

    new: NewInvoice
    account: composing.Account
    entity: Entity
    buyer: Buyer
    language: str
    priced: Priced
    usage: Waiting | None = None
    replaces: int | None = None


async def preview(
    conn: Connection, new: NewInvoice, *, until: datetime | None = None, now: datetime
) -> Invoice:
    """Return what `create` would make, without a number, a lock or anything written.

    Raises as `create` does.
    """
    [made] = await _make_many(conn, [Wanted(new, until or now)], now)
    if isinstance(made, BillingError):
        raise made
    assert made is not None, "it is not optional"
    return _shown(made, now)


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
    [made] = await create_many(conn, [Wanted(new, until, replaces)], now=now)
    if isinstance(made, BillingError):
        raise made
    assert made is not None, "it is not optional"
    return made


async def create_many(
    conn: Connection, wanted: Sequence[Wanted], *, now: datetime
) -> list[int | BillingError | None]:
    """Make drafts, each of another account, in one transaction.

    Returns the id of each, or why it cannot be made (then nothing of it is written), or None for an
    optional one without lines.
    """
    async with conn.transaction():
        moments = [each.until or now for each in wanted if each.new.usage]
        if moments:
            cut = await charges.cut_off(conn, max(moments))
            wanted = [
                msgspec.structs.replace(each, until=min(each.until or now, cut)) for each in wanted
            ]
        held = await lock_many(conn, [each.new.account for each in wanted])
        made = await _make_many(conn, wanted, now, held)
        fine = [each for each in made if isinstance(each, _Made)]
        ids = [row[0] for row in await conn.fetch(SQL["reserve_ids"], len(fine))]
        await conn.copy_records_to_table(
            "invoices",
            columns=_COLUMNS,
            records=[
                (number, *_kept(each), 1, now, now) for number, each in zip(ids, fine, strict=True)
            ],
        )
        await write_lines(
            conn,
            [(n, line) for n, each in zip(ids, fine, strict=True) for line in each.priced.lines],
        )
        await charges.take(
            conn,
            [
                Taken(each.usage, number, _usage_lines(each.priced))
                for number, each in zip(ids, fine, strict=True)
                if each.usage is not None
            ],
        )
        numbers = iter(ids)
        return [next(numbers) if isinstance(each, _Made) else each for each in made]


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
        account = await composing.account_of(conn, new.account)
        around = await composing.gather(
            conn,
            entity_names=[new.entity],
            accounts=[new.account],
            plans={line.plan for line in (*new.lines, *kept) if line.plan is not None},
        )
        made = _make(msgspec.structs.replace(new, usage=False), account, around, now, kept=kept)
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


async def _make_many(
    conn: Connection,
    wanted: Sequence[Wanted],
    now: datetime,
    held: Mapping[str, LockedAccount] | None = None,
) -> list[_Made | BillingError | None]:
    """Make documents, each of another account; where one cannot be made, say why.

    `held` are the accounts that are held to write them, None: nothing is written.
    """
    known = await composing.accounts_of(conn, [each.new.account for each in wanted])
    usage = await charges.waiting(
        conn, {each.new.account: each.until or now for each in wanted if each.new.usage}
    )
    found = {n: each for n, each in usage.items() if isinstance(each, Waiting)}
    around = await composing.gather(
        conn,
        entity_names={each.new.entity for each in wanted},
        accounts=list(known),
        plans={line.plan for each in wanted for line in each.new.lines if line.plan is not None}
        | {share.plan for each in found.values() for share in each.shares},
    )
    made: list[_Made | BillingError | None] = []
    for each in wanted:
        name = each.new.account
        try:
            if name not in known:
                raise NotFound(f"account {name} does not exist")
            if held is not None and not each.new.kind.settled_before:
                refuse_closed(held[name])
            if isinstance(fault := usage.get(name), Conflict):
                raise fault
            document = _make(each.new, known[name], around, now, found.get(name))
            if each.optional and not document.priced.lines:
                made.append(None)
            else:
                made.append(msgspec.structs.replace(document, replaces=each.replaces))
        except BillingError as error:
            made.append(error)
    return made


def _make(
    new: NewInvoice,
    account: composing.Account,
    around: composing.Surroundings,
    now: datetime,
    usage: Waiting | None = None,
    kept: Sequence[Line] = (),
) -> _Made:
    """A document of what is asked for, of the usage that it takes, and of the lines it keeps."""
    check(new, account.mode)
    if new.language not in (None, *LANGUAGES):
        raise InvalidInput(f"language {new.language!r}: allowed are {', '.join(LANGUAGES)}")
    entity = around.entities[new.entity]
    buyer = new.buyer or around.buyers[new.account]
    language = new.language or buyer.language
    if language not in LANGUAGES:
        language = entity.language
    shares = [] if usage is None else usage.shares
    lines = composing.lines_of(new.lines, shares, entity=entity, kind=new.kind, language=language)
    lines += [
        msgspec.structs.replace(line, line=number)
        for number, line in enumerate(kept, len(lines) + 1)
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
    return _Made(new, account, entity, buyer, language, priced, usage)


def _usage_lines(priced: Priced) -> dict[str, int]:
    """The lines of usage by plan."""
    return {line.usage.plan: line.line for line in priced.lines if line.usage is not None}


def _kept(made: _Made) -> tuple[Any, ...]:
    """What is kept of a draft, in the order of `_COLUMNS`, between its id and its revision."""
    new = made.new
    return (
        *(new.kind, new.entity, new.account, made.account.currency, made.replaces),
        *_changed(made),
    )


def _changed(made: _Made) -> tuple[Any, ...]:
    """What a draft may change, in the order of the statement and of `_COLUMNS`."""
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
