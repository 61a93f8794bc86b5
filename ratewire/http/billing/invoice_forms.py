"""Invoices as they are sent and told over HTTP: amounts and quantities as decimal texts."""

from datetime import date, datetime
from typing import Annotated, Any, Final, TypeAlias

import msgspec
from msgspec import Meta

from billing.errors import InvalidInput
from billing.invoices.invoice import Buyer, Invoice, Kind, NewInvoice, Status
from billing.invoices.line import MAX_AMOUNT, ItemKind, Line, NewLine, UsageTold
from billing.invoices.reading import Found
from billing.taxes.calculation import RateTotal
from billing.taxes.rate import AppliedRate, RoundingRule, TaxCode, format_percent
from ratewire.http.amounts import Amount, read, shown
from ratewire.http.endpoint import Name
from rating.money import format_micros, parse_amount

#: A quantity: a decimal with at most six decimals.
Quantity: TypeAlias = Annotated[
    str, Meta(pattern=r"^-?[0-9]{1,9}(\.[0-9]{1,6})?$", examples=["1", "0.5"])
]

#: The fields that are the same over HTTP and in billing.
_LINE_AS_IT_IS: Final = (
    *("kind", "description", "unit", "discount_reason", "inclusive", "charged", "plan"),
    *("tax_category", "service_from", "service_until"),
)
_INVOICE_AS_IT_IS: Final = (
    *("kind", "entity", "usage", "language", "reference", "note", "period_from", "period_until"),
    *("tax_point", "payment_days", "buyer"),
)


class LineRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A line: `quantity` of `unit` (UN/ECE Recommendation 20) at `unit_price` each.

    `unit_price` may be finer than the minor unit. The period is `service_from` to `service_until`
    (exclusive). `inclusive`: the price includes tax; null: as the seller does. `charged`: the money
    moved before (consumption and top-up documents).
    """

    kind: ItemKind = ItemKind.ONE_OFF
    description: Annotated[str, Meta(min_length=1, max_length=500)]
    unit_price: Amount
    quantity: Quantity = "1"
    unit: Annotated[str, Meta(pattern="^[A-Z0-9]{2,3}$")] = "C62"
    discount: Amount = "0"
    discount_reason: Annotated[str, Meta(max_length=200)] = ""
    inclusive: bool | None = None
    charged: bool = False
    plan: str | None = None
    tax_category: str | None = None
    service_from: date | None = None
    service_until: date | None = None

    def new(self, number: int) -> NewLine:
        """Return it as billing takes it; `number` is its place. Raises InvalidInput."""
        where = f"lines/{number - 1}"
        discount = _bounded(self.discount, f"{where}/discount")
        if discount < 0:
            raise InvalidInput(f"{where}/discount: {self.discount!r}: allowed is 0 or more")
        return NewLine(
            unit_price_micros=_bounded(self.unit_price, f"{where}/unit_price"),
            quantity_micros=parse_amount(self.quantity),
            discount_micros=discount,
            **{name: getattr(self, name) for name in _LINE_AS_IT_IS},
        )


class InvoiceRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a draft is made of.

    With `usage` it takes all charges of the account that were settled (before `usage_until`, if
    given) and are on no document. `buyer` null: the account's customer as it is at finalizing;
    `tax_point` null: the day of finalizing.
    """

    account: Name
    kind: Kind = Kind.INVOICE
    entity: str = "main"
    lines: Annotated[tuple[LineRequest, ...], Meta(max_length=1000)] = ()
    usage: bool = False
    usage_until: Annotated[datetime, Meta(tz=True)] | None = None
    language: str | None = None
    reference: Annotated[str, Meta(max_length=200)] = ""
    note: Annotated[str, Meta(max_length=1000)] = ""
    period_from: date | None = None
    period_until: date | None = None
    tax_point: date | None = None
    payment_days: Annotated[int, Meta(ge=0, le=365)] | None = None
    buyer: Buyer | None = None

    def new(self) -> NewInvoice:
        """Return it as billing takes it. Raises InvalidInput."""
        return NewInvoice(
            account=self.account,
            lines=tuple(line.new(number) for number, line in enumerate(self.lines, 1)),
            **{name: getattr(self, name) for name in _INVOICE_AS_IT_IS},
        )


class RateView(msgspec.Struct, frozen=True):
    """A tax rate as it was applied."""

    tax: str
    jurisdiction: str
    category: str
    percent: str
    compound: bool
    code: TaxCode
    reason: str


class TaxView(msgspec.Struct, frozen=True):
    """What a rate came to: over a document on `base`, or on one line (`base` null)."""

    rate: RateView
    base: str | None
    amount: str


class LineView(msgspec.Struct, frozen=True, kw_only=True):
    """A line with what it comes to: amount - discount = net, and tax too if it is included."""

    line: int
    kind: ItemKind
    description: str
    quantity: str
    unit: str
    unit_price: str
    amount: str
    discount: str
    discount_reason: str
    inclusive: bool
    charged: bool
    plan: str | None
    tax_category: str | None
    service_from: date | None
    service_until: date | None
    usage: UsageTold | None
    net: str
    tax: str
    taxes: list[TaxView]


class InvoiceView(msgspec.Struct, frozen=True, kw_only=True):
    """An invoice. total = net + tax; left = total - paid - offset. `id` null: a preview.

    `number`, `issued_on`, `due_on` are null until it is finalized.
    """

    id: int | None
    kind: Kind
    status: Status
    revision: int
    account: str
    entity: str
    currency: str
    language: str
    reference: str
    note: str
    period_from: date | None
    period_until: date | None
    tax_point: date
    payment_days: int
    tax_rounding: RoundingRule
    replaces: int | None
    number: str | None
    issued_on: date | None
    due_on: date | None
    buyer: Buyer
    lines: list[LineView]
    taxes: list[TaxView]
    discount: str
    net: str
    tax: str
    total: str
    paid: str
    credited: str
    offset: str
    written_off: str
    left: str
    created_at: datetime | None
    finalized_at: datetime | None
    sent_at: datetime | None
    paid_at: datetime | None
    voided_at: datetime | None
    uncollectible_at: datetime | None


class InvoiceRow(msgspec.Struct, frozen=True, kw_only=True):
    """An invoice in a list; `overdue` is a fact of today."""

    id: int
    kind: Kind
    status: Status
    account: str
    buyer: str
    currency: str
    number: str | None
    issued_on: date | None
    due_on: date | None
    total: str
    left: str
    overdue: bool
    sent_at: datetime | None
    created_at: datetime


def invoice_view(invoice: Invoice) -> InvoiceView:
    """Return an invoice as the API tells it."""
    currency = invoice.currency
    amounts = ("discount", "net", "tax", "total", "paid", "credited", "offset", "written_off")
    values: dict[str, Any] = {
        name: shown(getattr(invoice, f"{name}_micros"), currency) for name in (*amounts, "left")
    }
    values |= {
        name: getattr(invoice, name)
        for name in InvoiceView.__struct_fields__
        if name not in (*values, "id", "entity", "lines", "taxes")
    }
    return InvoiceView(
        id=invoice.invoice_id,
        entity=invoice.seller.entity,
        lines=[_line(line, currency) for line in invoice.lines],
        taxes=[tax_view(total, currency) for total in invoice.taxes],
        **values,
    )


def row_view(found: Found) -> InvoiceRow:
    """Return an invoice as it is in a list."""
    same = set(InvoiceRow.__struct_fields__) - {"id", "total", "left"}
    return InvoiceRow(
        id=found.invoice_id,
        total=shown(found.total_micros, found.currency),
        left=shown(found.left_micros, found.currency),
        **{name: getattr(found, name) for name in same},
    )


def tax_view(total: RateTotal, currency: str) -> TaxView:
    """Return what a rate came to over a document."""
    base = shown(total.base_micros, currency)
    return TaxView(rate_view(total.rate), base, shown(total.tax_micros, currency))


def rate_view(rate: AppliedRate) -> RateView:
    """Return a rate as it was applied."""
    return RateView(
        rate.tax,
        rate.jurisdiction,
        rate.category,
        format_percent(rate.ppm),
        rate.compound,
        rate.code,
        rate.reason,
    )


def _line(line: Line, currency: str) -> LineView:
    amounts = ("unit_price", "amount", "discount", "net", "tax")
    values: dict[str, Any] = {
        name: shown(getattr(line, f"{name}_micros"), currency) for name in amounts
    }
    same = (*_LINE_AS_IT_IS, "line", "usage")
    values |= {name: getattr(line, name) for name in same}
    return LineView(
        quantity=format_micros(line.quantity_micros, "JPY"),
        taxes=[
            TaxView(rate_view(tax.rate), None, shown(tax.tax_micros, currency))
            for tax in line.taxes
        ],
        **values,
    )


def _bounded(text: str, name: str) -> int:
    micros = read(text, name)
    if abs(micros) > MAX_AMOUNT:
        raise InvalidInput(f"{name}: {text!r}: allowed is at most {format_micros(MAX_AMOUNT)}")
    return micros
