"""Writing what bills became: items, the days that they are for, closed cycles, the next bill."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import msgspec

from billing.coupons.register import Use, note_uses
from billing.cycles.bill import Bill, Item
from billing.cycles.calendar import Period, midnight
from billing.cycles.loading import Held
from billing.database import Connection
from billing.statements import load

SQL = load(__package__, "queries.sql")

_encode: Final = msgspec.json.Encoder().encode

_ITEM_COLUMNS: Final = [
    *("item_id", "account_id", "service_id", "run_id", "bill_on", "charge", "kind", "offer"),
    *("description", "tax_category", "starts_on", "ends_on", "rate", "amount_micros"),
    *("discount_micros", "credits_item", "invoice_id", "invoice_line"),
]
_CYCLE_COLUMNS: Final = ["account_id", "starts_on", "ends_on", "run_id", "billed_at"]


class Made(msgspec.Struct, frozen=True):
    """A bill, whose it is, and the document that it stands on: of each item, the line (None: it
    needs none, as it costs nothing).
    """

    held: Held
    bill: Bill
    invoice: int | None = None
    lines: tuple[int | None, ...] = ()


async def book(conn: Connection, run: int, made: Sequence[Made], now: datetime) -> None:
    """Write bills, in the transaction that has taken their accounts.

    Raises asyncpg.IntegrityConstraintViolationError if a day would be billed twice, or a cycle
    closed twice: then nothing is.
    """
    assert conn.is_in_transaction()
    items = [
        (each, item, line)
        for each in made
        for item, line in zip(each.bill.items, _lines(each), strict=True)
    ]
    if items:
        ids = [row[0] for row in await conn.fetch(SQL["reserve_items"], len(items))]
        await conn.copy_records_to_table(
            "billed_items",
            columns=_ITEM_COLUMNS,
            records=[
                _item_row(number, run, each, item, line)
                for number, (each, item, line) in zip(ids, items, strict=True)
            ],
        )
        await _write_days(conn, list(zip(ids, (item for _, item, _ in items), strict=True)))
    await conn.copy_records_to_table(
        "billing_cycles",
        columns=_CYCLE_COLUMNS,
        records=[
            (each.held.account, period.start, period.end, run, now)
            for each in made
            for period in each.bill.closed
        ],
    )
    uses = [Use(*use, each.invoice) for each in made if each.invoice for use in each.bill.uses]
    await note_uses(conn, uses)
    nexts = [each.bill.next_bill_on for each in made]
    await conn.execute(
        SQL["advance"],
        [each.held.account for each in made],
        [each.bill.bill_on for each in made],
        nexts,
        [
            None if day is None else midnight(day, each.held.zone)
            for each, day in zip(made, nexts, strict=True)
        ],
    )


def _lines(each: Made) -> Sequence[int | None]:
    return each.lines or [None] * len(each.bill.items)


def _item_row(
    number: int, run: int, each: Made, item: Item, line: int | None
) -> tuple[object, ...]:
    rate = None if item.proposed is None else _encode(item.proposed.proposed.rate)
    return (
        number,
        each.held.account,
        item.service,
        run,
        each.bill.bill_on,
        item.charge,
        item.kind,
        item.offer,
        item.description,
        item.tax_category,
        item.period.start,
        item.period.end,
        rate,
        item.amount_micros,
        item.discount_micros,
        None if item.credit is None else item.credit.billed.item,
        None if line is None else each.invoice,
        line,
    )


async def _write_days(conn: Connection, items: Sequence[tuple[int, Item]]) -> None:
    """Write which days charges are for; of those that are credited in part, the rest."""
    rows = await conn.fetch(
        SQL["charge_ids"],
        [item.service for _, item in items],
        [item.charge for _, item in items],
    )
    charges = {(row["service_id"], row["charge"]): row["charge_id"] for row in rows}
    days: list[tuple[int, int, Period]] = []
    left = {item.credit.billed.item: item for _, item in items if item.credit is not None}
    for number, item in left.items():
        assert item.credit is not None
        charge = charges[item.service, item.charge]
        days += [(number, charge, period) for period in item.credit.covers]
    days += [
        (number, charges[item.service, item.charge], item.period)
        for number, item in items
        if item.proposed is not None
    ]
    if left:
        await conn.execute(SQL["drop_days"], list(left))
    if days:
        await conn.execute(
            SQL["add_days"],
            [number for number, _, _ in days],
            [charge for _, charge, _ in days],
            [period.start for _, _, period in days],
            [period.end for _, _, period in days],
        )
