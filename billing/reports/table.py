"""What a report is: rows of named columns; and its CSV, which no spreadsheet takes for formulas."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any, Final, TypeAlias

import msgspec

from rating.money import format_micros

Cell: TypeAlias = str | int | date | None

#: What ends the name of a column that holds money; it is in the currency of its row.
MONEY: Final = "_micros"

#: What a spreadsheet takes for the beginning of a formula.
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "|", "%")


class Report(msgspec.Struct, frozen=True):
    """Rows of columns, in order. Columns of money hold micros."""

    name: str
    columns: tuple[str, ...]
    rows: list[tuple[Cell, ...]]

    def shown(self) -> tuple[tuple[str, ...], list[tuple[Cell, ...]]]:
        """Return columns and rows as people read them: money in units of its currency."""
        names = tuple(name.removesuffix(MONEY) for name in self.columns)
        return names, [tuple(self._show(row)) for row in self.rows]

    def _show(self, row: Sequence[Cell]) -> Iterable[Cell]:
        currency = dict(zip(self.columns, row, strict=True)).get("currency")
        for name, cell in zip(self.columns, row, strict=True):
            if name.endswith(MONEY) and isinstance(cell, int):
                yield format_micros(cell, str(currency) if currency else None)
            else:
                yield cell


def report(name: str, columns: Sequence[str], found: Iterable[Mapping[str, Any]]) -> Report:
    """Return a report of rows that were found."""
    rows = [tuple(row[column] for column in columns) for row in found]
    return Report(name, tuple(columns), rows)


def to_csv(of: Report) -> str:
    """Return a report as CSV (RFC 4180). A text that a spreadsheet would run begins with a '."""
    names, rows = of.shown()
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(names)
    money = [name.endswith(MONEY) for name in of.columns]
    for row in rows:
        writer.writerow(
            cell if is_money or cell is None else _harmless(cell)
            for cell, is_money in zip(row, money, strict=True)
        )
    return out.getvalue()


def _harmless(cell: str | int | date) -> str | int | date:
    if isinstance(cell, str) and cell.startswith(_FORMULA):
        return "'" + cell
    return cell
