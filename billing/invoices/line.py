"""The lines of a document, and what they and their taxes come to. Pure."""

import enum
from collections.abc import Iterable, Sequence
from datetime import date
from typing import Annotated, Final, Protocol

import msgspec
from msgspec import Meta

from billing.cycles.proration import minor_unit, to_minor_unit
from billing.errors import InvalidInput
from billing.taxes.calculation import RateTotal, TaxableLine, TaxedDocument, tax_document
from billing.taxes.rate import AppliedRate, RoundingRule
from rating.money import MAX_MICROS, format_micros

#: Quantities are millionths, so that 0.5 hours is an integer.
ONE: Final = 1_000_000

#: A document is no larger than this, nor a quantity.
MAX_AMOUNT: Final = 10**15

Amount = Annotated[int, Meta(ge=-MAX_AMOUNT, le=MAX_AMOUNT)]


class ItemKind(enum.StrEnum):
    """What a line is for."""

    RECURRING = "recurring"
    ONE_OFF = "one-off"
    USAGE = "usage"
    MINIMUM = "minimum"
    FEE = "fee"
    TOPUP = "topup"
    CREDIT = "credit"


class UsageTold(msgspec.Struct, frozen=True):
    """What was used for a usage line."""

    plan: str
    sessions: int
    seconds: int
    octets_in: int
    octets_out: int


class NewLine(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A line as it is asked for: `quantity_micros` millionths of `unit` (UN/ECE Recommendation 20).

    `unit_price_micros` may be finer than the minor unit; the line's amount is not. The period is
    `service_from` to `service_until` (exclusive). `inclusive`: the price includes tax; None: as the
    seller does for such accounts. `charged`: the money moved before.
    """

    kind: ItemKind = ItemKind.ONE_OFF
    description: Annotated[str, Meta(min_length=1, max_length=500)]
    unit_price_micros: Amount
    quantity_micros: Amount = ONE
    unit: Annotated[str, Meta(pattern="^[A-Z0-9]{2,3}$")] = "C62"
    discount_micros: Annotated[int, Meta(ge=0, le=MAX_AMOUNT)] = 0
    discount_reason: Annotated[str, Meta(max_length=200)] = ""
    inclusive: bool | None = None
    charged: bool = False
    plan: str | None = None
    tax_category: str | None = None
    service_from: date | None = None
    service_until: date | None = None


class LineTax(msgspec.Struct, frozen=True):
    """What one rate came to on a line."""

    rate: AppliedRate
    tax_micros: int


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """A line with what it comes to: amount - discount = net, and tax too if it is included."""

    line: int
    kind: ItemKind
    description: str
    quantity_micros: int
    unit: str
    unit_price_micros: int
    amount_micros: int
    discount_micros: int
    discount_reason: str
    inclusive: bool
    charged: bool
    plan: str | None
    tax_category: str | None
    service_from: date | None
    service_until: date | None
    usage: UsageTold | None
    net_micros: int
    tax_micros: int
    taxes: tuple[LineTax, ...]

    @property
    def gross_micros(self) -> int:
        """Net and tax."""
        return self.net_micros + self.tax_micros

    @property
    def exact_micros(self) -> int:
        """What it was charged before it was rounded for the document; not of a whole minor unit."""
        return self.unit_price_micros * self.quantity_micros // ONE


class Taxed(Protocol):
    """A line as far as its taxes are concerned: of an invoice, or of a credit note."""

    @property
    def net_micros(self) -> int:
        """The line without taxes."""
        ...

    @property
    def taxes(self) -> tuple[LineTax, ...]:
        """What each rate came to on it."""
        ...


class Priced(msgspec.Struct, frozen=True):
    """Lines with what they come to, and the document's totals."""

    lines: tuple[Line, ...]
    taxed: TaxedDocument

    @property
    def discount_micros(self) -> int:
        """All discounts together."""
        return sum(line.discount_micros for line in self.lines)


def unpriced(new: NewLine, number: int, *, inclusive: bool, usage: UsageTold | None = None) -> Line:
    """Return a line that `price` is to finish; `inclusive` is what holds if it does not say."""
    return Line(
        line=number,
        kind=new.kind,
        description=new.description,
        quantity_micros=new.quantity_micros,
        unit=new.unit,
        unit_price_micros=new.unit_price_micros,
        amount_micros=0,
        discount_micros=new.discount_micros,
        discount_reason=new.discount_reason,
        inclusive=inclusive if new.inclusive is None else new.inclusive,
        charged=new.charged or usage is not None,
        plan=new.plan if usage is None else usage.plan,
        tax_category=new.tax_category,
        service_from=new.service_from,
        service_until=new.service_until,
        usage=usage,
        net_micros=0,
        tax_micros=0,
        taxes=(),
    )


def asked_for(line: Line) -> NewLine:
    """Return what a line was made of."""
    return NewLine(**{name: getattr(line, name) for name in NewLine.__struct_fields__})


def price(
    lines: Sequence[Line],
    rates: Sequence[tuple[AppliedRate, ...]],
    rule: RoundingRule,
    currency: str,
) -> Priced:
    """Return lines with their amounts and taxes. Raises InvalidInput for a faulty line."""
    amounts = [_amount(line, currency) for line in lines]
    taxed = tax_document(
        [
            TaxableLine(amount - line.discount_micros, of_line, line.inclusive)
            for line, amount, of_line in zip(lines, amounts, rates, strict=True)
        ],
        rule,
        minor_unit(currency),
    )
    priced = tuple(
        msgspec.structs.replace(
            line,
            amount_micros=amount,
            net_micros=made.net_micros,
            tax_micros=sum(made.tax_micros),
            taxes=tuple(map(LineTax, of_line, made.tax_micros)),
        )
        for line, amount, of_line, made in zip(lines, amounts, rates, taxed.lines, strict=True)
    )
    if abs(taxed.gross_micros) > MAX_MICROS:
        raise InvalidInput(f"a total of {format_micros(taxed.gross_micros)} is too large")
    return Priced(priced, taxed)


def totals_of(lines: Iterable[Line]) -> tuple[int, int]:
    """Return net and tax of lines."""
    kept = list(lines)
    return sum(line.net_micros for line in kept), sum(line.tax_micros for line in kept)


def totals_by_rate(lines: Iterable[Taxed]) -> tuple[RateTotal, ...]:
    """Return what each rate comes to over the lines."""
    base: dict[AppliedRate, int] = {}
    tax: dict[AppliedRate, int] = {}
    for line in lines:
        for each in line.taxes:
            base[each.rate] = base.get(each.rate, 0) + line.net_micros
            tax[each.rate] = tax.get(each.rate, 0) + each.tax_micros
    return tuple(RateTotal(rate, base[rate], tax[rate]) for rate in base)


def _amount(line: Line, currency: str) -> int:
    amount = to_minor_unit(line.quantity_micros * line.unit_price_micros, ONE, currency)
    where = f"line {line.line}"
    if abs(amount) > MAX_MICROS:
        raise InvalidInput(f"{where}: an amount of {format_micros(amount)} is too large")
    if line.discount_micros % minor_unit(currency):
        raise InvalidInput(f"{where}: a discount is in whole minor units of {currency}")
    if line.discount_micros and line.discount_micros > amount:
        raise InvalidInput(
            f"{where}: a discount of {format_micros(line.discount_micros, currency)} is more than"
            f" its amount, {format_micros(amount, currency)}"
        )
    if (
        line.service_from is not None
        and line.service_until is not None
        and line.service_until <= line.service_from
    ):
        raise InvalidInput(
            f"{where}: its period ends before it begins (service_until is exclusive)"
        )
    return amount
