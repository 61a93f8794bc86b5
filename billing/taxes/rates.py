"""The tax rates in Postgres. Documents keep what was applied to them, whatever changes here."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

import msgspec

from billing.database import Connection
from billing.errors import InvalidInput, NotFound
from billing.statements import load
from billing.taxes.rate import TaxRate

SQL = load(__package__, "queries.sql")


class LoadedRate(msgspec.Struct, frozen=True):
    """What putting a rate did; `changed` False: it was there as it is."""

    rate: TaxRate
    changed: bool


async def put(conn: Connection, rates: Sequence[TaxRate], now: datetime) -> list[LoadedRate]:
    """Keep rates, each in the place of one that began on the same day; all or none.

    No two are of the same jurisdiction, category, tax and day. Raises InvalidInput.
    """
    faults = [fault for rate in rates for fault in rate.faults()]
    if faults:
        raise InvalidInput("; ".join(faults))
    rows: list[tuple[Any, ...]] = [
        (
            rate.jurisdiction,
            rate.category,
            rate.tax,
            rate.valid_from,
            rate.ppm,
            rate.valid_until,
            rate.place,
            rate.compound,
            rate.code,
            rate.reason,
        )
        for rate in rates
    ]
    columns = [list(column) for column in zip(*rows, strict=True)] or [[]] * 10
    changed = {tuple(row.values()) for row in await conn.fetch(SQL["put"], *columns, now)}
    return [LoadedRate(rate, row[:4] in changed) for rate, row in zip(rates, rows, strict=True)]


async def list_(conn: Connection, jurisdiction: str | None = None) -> list[TaxRate]:
    """Return all rates, or those of a jurisdiction."""
    return [
        msgspec.convert(dict(row), TaxRate) for row in await conn.fetch(SQL["list"], jurisdiction)
    ]


async def remove(
    conn: Connection, jurisdiction: str, category: str, tax: str, valid_from: date
) -> None:
    """Forget a rate; what it was applied to stays. Raises NotFound."""
    if not await conn.fetchval(SQL["remove"], jurisdiction, category, tax, valid_from):
        raise NotFound(
            f"there is no rate of {tax} in {jurisdiction} for {category} from {valid_from}"
        )
