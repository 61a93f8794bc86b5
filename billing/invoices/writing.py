"""Writing lines, and the totals by tax rate, of drafts."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from billing.database import Connection
from billing.invoices.line import Line, Priced
from billing.statements import load

SQL = load(__package__, "queries.sql")

_encode: Final = msgspec.json.Encoder().encode

_COLUMNS: Final = ("invoice_id", *Line.__struct_fields__)


async def write_lines(conn: Connection, lines: Iterable[tuple[int, Line]]) -> None:
    """Write lines of drafts, each with the draft's id."""
    await conn.copy_records_to_table(
        "invoice_items",
        columns=_COLUMNS,
        records=[(invoice_id, *_row(line)) for invoice_id, line in lines],
    )


async def write_totals(conn: Connection, priced: Mapping[int, Priced]) -> None:
    """Write the totals by tax rate of drafts, by their ids; they have none yet."""
    rows: list[tuple[Any, ...]] = [
        (
            invoice_id,
            place,
            total.rate.tax,
            total.rate.jurisdiction,
            total.rate.category,
            total.rate.ppm,
            total.rate.compound,
            total.rate.code,
            total.rate.reason,
            total.base_micros,
            total.tax_micros,
        )
        for invoice_id, each in priced.items()
        for place, total in enumerate(each.taxed.totals, 1)
    ]
    if rows:
        await conn.execute(
            SQL["insert_taxes"], *(list(column) for column in zip(*rows, strict=True))
        )


def _row(line: Line) -> tuple[Any, ...]:
    values: list[Any] = []
    for name in Line.__struct_fields__:
        value = getattr(line, name)
        if name in ("usage", "taxes") and value is not None:
            value = _encode(value)
        values.append(value)
    return tuple(values)
