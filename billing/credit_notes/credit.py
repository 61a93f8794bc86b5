"""What a credit note comes to, line by line. Pure.

The tax of what was credited of a line is that share of the line's tax, rounded on the running
total: so whatever the parts, the last one takes the remainder, and all of them are the line.
"""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from billing.cycles.proration import minor_unit
from billing.entities.entity import Entity
from billing.errors import Conflict, InvalidInput
from billing.invoices.invoice import Buyer, Invoice
from billing.invoices.line import Line, LineTax
from billing.taxes.calculation import RateTotal
from rating.money import Rounding, divide, format_micros


class CreditedPart(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How much of a line is to be credited, tax included; None: all that is left of it."""

    line: int
    gross_micros: int | None = None


class NewCreditNote(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a credit note is made of. No lines: all that is left of the document.

    It takes off what is still to be paid first (offset). Of the rest, `refund_micros` are to be
    paid out, and what is left then is credit of the account.
    """

    invoice_id: int
    reason: Annotated[str, Meta(min_length=1, max_length=500)]
    lines: tuple[CreditedPart, ...] = ()
    refund_micros: Annotated[int, Meta(ge=0)] = 0


class CreditLine(msgspec.Struct, frozen=True, kw_only=True):
    """A line of a credit note: what is given back of line `invoice_line`. Amounts are positive."""

    line: int
    invoice_line: int
    description: str
    net_micros: int
    tax_micros: int
    taxes: tuple[LineTax, ...]

    @property
    def gross_micros(self) -> int:
        """Net and tax."""
        return self.net_micros + self.tax_micros


class CreditNote(msgspec.Struct, frozen=True, kw_only=True):
    """A credit note; it never changes, but may be voided.

    `total_micros` = offset + credit + refund.
    """

    credit_note_id: int
    invoice_id: int
    invoice_number: str
    invoice_issued_on: date
    account: str
    currency: str
    language: str
    number: str
    issued_on: date
    reason: str
    seller: Entity
    buyer: Buyer
    lines: tuple[CreditLine, ...]
    taxes: tuple[RateTotal, ...]
    net_micros: int
    tax_micros: int
    total_micros: int
    offset_micros: int
    credit_micros: int
    refund_micros: int
    created_at: datetime
    voided_at: datetime | None = None


class Credited(msgspec.Struct, frozen=True):
    """What was credited of a line before, in sum: net, and the tax of each of its rates."""

    net_micros: int
    tax_micros: tuple[int, ...]

    @property
    def gross_micros(self) -> int:
        """Net and taxes."""
        return self.net_micros + sum(self.tax_micros)


def credit_lines(
    invoice: Invoice, parts: Sequence[CreditedPart], before: Mapping[int, Credited]
) -> tuple[CreditLine, ...]:
    """Return the lines of a credit note; `before` is what was credited by line of the invoice.

    Raises InvalidInput, or Conflict if more is to be credited than is left.
    """
    by_number = {line.line: line for line in invoice.lines}
    wanted = parts or tuple(CreditedPart(number) for number in by_number)
    if len({part.line for part in wanted}) < len(wanted):
        raise InvalidInput("a line stands twice on the credit note; allowed is once")
    unit = minor_unit(invoice.currency)
    made: list[CreditLine] = []
    for part in wanted:
        if part.line not in by_number:
            raise InvalidInput(f"invoice {invoice.number} has no line {part.line}")
        line = by_number[part.line]
        known = before.get(part.line) or Credited(0, (0,) * len(line.taxes))
        gross = _gross(invoice, line, part, known)
        if gross:
            made.append(_credit_line(line, known, gross, len(made) + 1, unit))
    if not made:
        raise Conflict(f"nothing is left to be credited of invoice {invoice.number}")
    return tuple(made)


def _gross(invoice: Invoice, line: Line, part: CreditedPart, known: Credited) -> int:
    left = line.gross_micros - known.gross_micros
    if part.gross_micros is None:
        return left
    told = format_micros(part.gross_micros, invoice.currency)
    if part.gross_micros % minor_unit(invoice.currency) or part.gross_micros <= 0:
        raise InvalidInput(
            f"line {line.line}: {told}; allowed are whole minor units of {invoice.currency},"
            " more than 0"
        )
    if part.gross_micros > left:
        raise Conflict(
            f"line {line.line} of invoice {invoice.number}: {told} cannot be credited,"
            f" {format_micros(left, invoice.currency)} are left"
        )
    return part.gross_micros


def _credit_line(line: Line, known: Credited, gross: int, number: int, unit: int) -> CreditLine:
    up_to = known.gross_micros + gross
    taxes = tuple(
        LineTax(each.rate, _share(each.tax_micros, up_to, line, unit) - done)
        for each, done in zip(line.taxes, known.tax_micros, strict=True)
    )
    tax = sum(each.tax_micros for each in taxes)
    return CreditLine(
        line=number,
        invoice_line=line.line,
        description=line.description,
        net_micros=gross - tax,
        tax_micros=tax,
        taxes=taxes,
    )


def _share(tax_micros: int, up_to: int, line: Line, unit: int) -> int:
    """The share of a tax that belongs to so much of the line, in whole minor units."""
    if up_to == line.gross_micros:
        return tax_micros
    whole = abs(line.gross_micros)
    sign = 1 if line.gross_micros > 0 else -1
    return divide(tax_micros * up_to * sign, whole * unit, Rounding.HALF_UP) * unit
