"""Bank files in CSV. Each bank has its own columns, so their names are told. Pure."""

import csv
import io
import re
from datetime import date, datetime
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from billing.reconciliation.statement import (
    BankLine,
    Fault,
    Refusal,
    Unreadable,
    micros_of,
    tidy,
)

Column = Annotated[str, Meta(min_length=1, max_length=100)]
Optional = Annotated[str, Meta(max_length=100)]

#: Longest value of a cell.
_MAX_CELL: Final = 100_000
_DAY_FORMAT: Final = re.compile(r"(?:%[dmYy]|[-./ ])+")


class CsvFormat(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a bank writes its CSV: the names of its columns (empty: there is none), and its values.

    The header with them is the first row that has all of them; what stands before it is passed
    over. `currency` names a column; without one, all is in `all_in`.
    """

    date: Column = "date"
    amount: Column = "amount"
    currency: Optional = "currency"
    all_in: Annotated[str, Meta(pattern="^[A-Z]{3}$")] | None = None
    payer: Optional = "payer"
    payer_account: Optional = ""
    reference: Optional = "reference"
    text: Optional = ""
    bank_reference: Optional = ""
    date_format: Annotated[str, Meta(max_length=20)] = "%Y-%m-%d"
    decimal: Literal[".", ","] = "."
    delimiter: Annotated[str, Meta(min_length=1, max_length=1)] = ","
    encoding: Literal["utf-8", "latin-1", "cp1252"] = "utf-8"

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that there have to be."""
        names = (
            *(self.date, self.amount, self.currency if self.all_in is None else ""),
            *(self.payer, self.payer_account, self.reference, self.text, self.bank_reference),
        )
        return tuple(name for name in names if name)


def read(content: bytes, name: str, written: CsvFormat) -> list[BankLine]:
    """Return the lines of a file that is written so. Raises Unreadable with all that is wrong."""
    if not _DAY_FORMAT.fullmatch(written.date_format) or written.delimiter in '"\r\n':
        raise Unreadable(name, [Fault("its format", "date_format: allowed is one as %d.%m.%Y")])
    try:
        text = content.decode("utf-8-sig" if written.encoding == "utf-8" else written.encoding)
    except UnicodeDecodeError as error:
        place = f"octet {error.start}"
        raise Unreadable(name, [Fault(place, f"this is not {written.encoding}")]) from error
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=written.delimiter, strict=True)
    lines: list[BankLine] = []
    faults: list[Fault] = []
    header: list[str] | None = None
    try:
        for row in rows:
            cells = [cell.strip() for cell in row]
            if header is None:
                header = cells if set(written.columns) <= set(cells) else None
            elif any(cells):
                _read_row(cells, header, f"row {rows.line_num}", written, lines, faults)
    except csv.Error as error:
        faults.append(Fault(f"row {rows.line_num}", f"this is not CSV: {error}"))
    if header is None and not faults:
        wanted = ", ".join(written.columns)
        faults.append(Fault("its header", f"no row has the columns {wanted}"))
    if faults:
        raise Unreadable(name, faults)
    return lines


def _read_row(
    cells: list[str],
    header: list[str],
    place: str,
    written: CsvFormat,
    lines: list[BankLine],
    faults: list[Fault],
) -> None:
    if len(cells) != len(header):
        faults.append(Fault(place, f"it has {len(cells)} cells, and the header {len(header)}"))
        return
    values = dict(zip(header, cells, strict=True))

    def told(column: str) -> str:
        return "" if not column else tidy(values[column][:_MAX_CELL])

    try:
        currency = written.all_in or told(written.currency)
        lines.append(
            BankLine(
                place=place,
                booked_on=_day(told(written.date), written.date_format),
                amount_micros=micros_of(_plain(told(written.amount), written.decimal), currency),
                currency=currency,
                bank_reference=told(written.bank_reference),
                payer=told(written.payer),
                payer_account=told(written.payer_account).replace(" ", ""),
                reference=told(written.reference),
                text=told(written.text),
            )
        )
    except Refusal as error:
        faults.append(Fault(place, str(error)))


def _day(text: str, written: str) -> date:
    try:
        return datetime.strptime(text, written).date()  # noqa: DTZ007 - a day has no zone
    except ValueError as error:
        raise Refusal(f"{text!r} is not a date written as {written}") from error


def _plain(text: str, decimal: str) -> str:
    """An amount with a decimal point, without what separates thousands in groups of three."""
    separator = re.escape("." if decimal == "," else ",")
    grouped = rf"[+-]?[0-9]{{1,3}}(?:{separator}[0-9]{{3}})+(?:{re.escape(decimal)}[0-9]+)?"
    if re.fullmatch(grouped, text):
        text = text.replace("." if decimal == "," else ",", "")
    elif ("." if decimal == "," else ",") in text:
        raise Refusal(f"{text!r} is not an amount with {decimal!r} before its decimals")
    return text.replace(decimal, ".")
