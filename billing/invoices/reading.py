"""Invoices as they are in Postgres: one with all its lines, or many by what is searched for."""

import enum
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from typing import Any, Final

import asyncpg
import msgspec

from billing.database import Connection
from billing.entities.entity import Entity
from billing.errors import InvalidInput, NotFound
from billing.invoices.composing import gather, local_day
from billing.invoices.invoice import Buyer, Invoice, Kind, Status
from billing.invoices.line import ItemKind, Line, LineTax, UsageTold, totals_by_rate
from billing.statements import load
from billing.taxes.calculation import RateTotal
from billing.taxes.rate import AppliedRate, RoundingRule, TaxCode

SQL = load(__package__, "queries.sql")

MAX_FOUND: Final = 1000

_entity: Final = msgspec.json.Decoder(Entity).decode
_buyer: Final = msgspec.json.Decoder(Buyer).decode
_taxes: Final = msgspec.json.Decoder(tuple[LineTax, ...]).decode
_usage: Final = msgspec.json.Decoder(UsageTold).decode


class Order(enum.StrEnum):
    """How a list of invoices is sorted: the newest first, or open ones the soonest due first."""

    NEWEST = "newest"
    DUE = "due"


class Search(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is searched for; None: whatever it is. `number` is how the number begins."""

    account: str | None = None
    status: Status | None = None
    kind: Kind | None = None
    number: str | None = None
    issued_from: date | None = None
    issued_to: date | None = None
    total_from_micros: int | None = None
    total_to_micros: int | None = None
    overdue: bool | None = None
    partly_paid: bool | None = None


class Place(msgspec.Struct, frozen=True):
    """The last invoice of a page, after which the next one begins; `due_on` if sorted by it."""

    invoice_id: int
    due_on: date | None = None


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """An invoice in a list. `overdue` is a fact of the day it is asked on."""

    invoice_id: int
    kind: Kind
    status: Status
    account: str
    buyer: str
    currency: str
    number: str | None
    issued_on: date | None
    due_on: date | None
    total_micros: int
    left_micros: int
    overdue: bool
    sent_at: datetime | None
    created_at: datetime


class ReportedTax(msgspec.Struct, frozen=True):
    """What a rate came to over documents."""

    currency: str
    tax: str
    jurisdiction: str
    category: str
    ppm: int
    code: TaxCode
    base_micros: int
    tax_micros: int


async def get_many(conn: Connection, ids: Iterable[int], now: datetime) -> dict[int, Invoice]:
    """Return invoices by id; those that do not exist are missing.

    Of drafts, seller and buyer are as they are now, and the tax point is the day at `now`.
    """
    wanted = sorted(set(ids))
    rows = await conn.fetch(SQL["get"], wanted)
    lines: dict[int, list[Line]] = {number: [] for number in wanted}
    for row in await conn.fetch(SQL["items"], wanted):
        lines[row["invoice_id"]].append(_line(row))
    taxes: dict[int, list[RateTotal]] = {number: [] for number in wanted}
    for row in await conn.fetch(SQL["taxes"], wanted):
        taxes[row["invoice_id"]].append(rate_total(row))
    drafts = [row for row in rows if row["status"] == "draft"]
    around = await gather(
        conn,
        entity_names={row["entity"] for row in drafts},
        accounts={row["account_id"] for row in drafts},
        plans=(),
    )
    found: dict[int, Invoice] = {}
    for row in rows:
        number = row["invoice_id"]
        draft = row["status"] == "draft"
        seller = around.entities[row["entity"]] if draft else _entity(row["seller"])
        kept = row["buyer"]
        buyer = around.buyers[row["account_id"]] if kept is None else _buyer(kept)
        totals = totals_by_rate(lines[number]) if draft else taxes[number]
        found[number] = _invoice(row, seller, buyer, lines[number], totals, now)
    return found


async def get(conn: Connection, invoice_id: int, now: datetime) -> Invoice:
    """Return an invoice, as `get_many` does. Raises NotFound."""
    found = await get_many(conn, [invoice_id], now)
    if invoice_id not in found:
        raise NotFound(f"invoice {invoice_id} does not exist")
    return found[invoice_id]


async def identify(conn: Connection, text: str) -> int:
    """Return the id of the invoice that a person names by id or number. Raises NotFound."""
    ids = [row[0] for row in await conn.fetch(SQL["by_number"], text)]
    if len(ids) == 1:
        return ids[0]
    if ids:
        raise InvalidInput(f"several entities have a document {text}: name one by its id, {ids}")
    if text.isascii() and text.isdigit() and len(text) < 19:
        return int(text)
    raise NotFound(f"invoice {text} does not exist")


async def search(
    conn: Connection,
    wanted: Search,
    *,
    today: date,
    limit: int = 100,
    after: Place | None = None,
    order: Order = Order.NEWEST,
) -> list[Found]:
    """Return the first `limit` invoices that are searched for, in an order, after a place in it."""
    if not 1 <= limit <= MAX_FOUND + 1:
        raise InvalidInput(f"limit {limit}: allowed is 1 to {MAX_FOUND}")
    place: list[int | date | None] = [None if after is None else after.invoice_id]
    if order is Order.DUE:
        place.append(None if after is None else after.due_on)
    rows = await conn.fetch(
        SQL["search" if order is Order.NEWEST else "search_due"],
        limit,
        wanted.account,
        wanted.status,
        wanted.kind,
        wanted.number,
        wanted.issued_from,
        wanted.issued_to,
        wanted.total_from_micros,
        wanted.total_to_micros,
        today if wanted.overdue else None,
        wanted.partly_paid,
        *place,
    )
    return [_found(row, today) for row in rows]


async def tax_report(conn: Connection, entity: str, since: date, to: date) -> list[ReportedTax]:
    """Return base and tax by rate of what an entity issued from a day to another (included)."""
    return [
        msgspec.convert(dict(row), ReportedTax)
        for row in await conn.fetch(SQL["tax_report"], entity, since, to)
    ]


def _found(row: asyncpg.Record, today: date) -> Found:
    left = row["total_micros"] - row["paid_micros"] - row["offset_micros"]
    return Found(
        invoice_id=row["invoice_id"],
        kind=Kind(row["kind"]),
        status=Status(row["status"]),
        account=row["account_id"],
        buyer=row["buyer"],
        currency=row["currency"],
        number=row["number"],
        issued_on=row["issued_on"],
        due_on=row["due_on"],
        total_micros=row["total_micros"],
        left_micros=left,
        overdue=row["status"] == "open" and row["due_on"] < today,
        sent_at=row["sent_at"],
        created_at=row["created_at"],
    )


#: The columns that an Invoice holds as they are.
_AS_THEY_ARE: Final = (
    *("revision", "currency", "language", "reference", "note", "period_from", "period_until"),
    *("payment_days", "replaces", "number", "issued_on", "due_on", "discount_micros"),
    *("net_micros", "tax_micros", "total_micros", "paid_micros", "credited_micros"),
    *("offset_micros", "written_off_micros", "created_at", "finalized_at", "sent_at", "paid_at"),
    *("voided_at", "uncollectible_at"),
)


def _invoice(
    row: asyncpg.Record,
    seller: Entity,
    buyer: Buyer,
    lines: Sequence[Line],
    taxes: Sequence[RateTotal],
    now: datetime,
) -> Invoice:
    kept: dict[str, Any] = {name: row[name] for name in _AS_THEY_ARE}
    return Invoice(
        **kept,
        invoice_id=row["invoice_id"],
        kind=Kind(row["kind"]),
        status=Status(row["status"]),
        account=row["account_id"],
        tax_point=row["tax_point"] or local_day(seller, now),
        tax_rounding=RoundingRule(row["tax_rounding"]),
        seller=seller,
        buyer=buyer,
        lines=tuple(lines),
        taxes=tuple(taxes),
    )


def _line(row: asyncpg.Record) -> Line:
    usage = row["usage"]
    values: dict[str, Any] = {name: row[name] for name in Line.__struct_fields__}
    values["kind"] = ItemKind(row["kind"])
    values["usage"] = None if usage is None else _usage(usage)
    values["taxes"] = _taxes(row["taxes"])
    return Line(**values)


def rate_total(row: asyncpg.Record) -> RateTotal:
    """Return a row of a table of totals by tax rate."""
    rate = AppliedRate(
        row["tax"],
        row["jurisdiction"],
        row["category"],
        row["ppm"],
        row["compound"],
        TaxCode(row["code"]),
        row["reason"],
    )
    return RateTotal(rate, row["base_micros"], row["tax_micros"])
