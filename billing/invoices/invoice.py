"""What an invoice is, in which states, and what it may hold. Pure."""

import enum
from datetime import date, datetime
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from billing.accounts.account import PaymentMode
from billing.entities.entity import MAIN, Address, Entity
from billing.errors import InvalidInput
from billing.invoices.line import ItemKind, Line, NewLine
from billing.taxes.calculation import RateTotal
from billing.taxes.rate import RoundingRule
from billing.taxes.treatment import TaxParty, TaxStatus

MAX_LINES: Final = 1000


class Status(enum.StrEnum):
    """Where an invoice stands. That it was sent, and that it is overdue, are facts beside it.

    draft -> open -> paid; open -> void or uncollectible; uncollectible -> paid; and paid -> open
    where a payment is taken back.
    """

    DRAFT = "draft"
    OPEN = "open"
    PAID = "paid"
    VOID = "void"
    UNCOLLECTIBLE = "uncollectible"


class Kind(enum.StrEnum):
    """What a document is.

    INVOICE asks for money. CONSUMPTION and TOPUP are the tax documents of a prepaid account, for
    what it used or put in; the money has moved, and they move none. PROFORMA asks for money in
    advance and is no tax document. STATEMENT lists what a prepaid account used whose tax documents
    are those of its top-ups.
    """

    INVOICE = "invoice"
    CONSUMPTION = "consumption"
    TOPUP = "topup"
    PROFORMA = "proforma"
    STATEMENT = "statement"

    @property
    def series(self) -> str:
        """The numbers it takes from."""
        return self.value if self in (Kind.PROFORMA, Kind.STATEMENT) else "invoice"

    @property
    def taxed(self) -> bool:
        """Whether its lines bear tax."""
        return self is not Kind.STATEMENT

    @property
    def settled_before(self) -> bool:
        """Whether all its money moved before it, so that nothing is left to be paid."""
        return self in (Kind.CONSUMPTION, Kind.TOPUP, Kind.STATEMENT)


class Buyer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whom a document is for, as it stands on it and as taxes see it."""

    name: Annotated[str, Meta(min_length=1, max_length=200)]
    contact: str = ""
    address: Address | None = None
    email: str = ""
    language: str | None = None
    tax_id: str = ""
    jurisdiction: str | None = None
    tax_category: str | None = None
    tax_status: TaxStatus = TaxStatus.TAXABLE
    tax_pending: bool = False
    certificate: str = ""
    certificate_expires: date | None = None
    exemption_reason: str = ""

    def tax_party(self, seller: Entity) -> TaxParty:
        """The buyer as taxes see it; one without an address is where the seller is."""
        return TaxParty(
            country=(self.address or seller.address).country,
            jurisdiction=self.jurisdiction,
            category=self.tax_category,
            tax_id=self.tax_id or None,
            status=self.tax_status,
            certificate=self.certificate or None,
            certificate_expires=self.certificate_expires,
            exemption_reason=self.exemption_reason,
        )


class NewInvoice(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a draft is made of.

    With `usage` it takes all charges of the account that were settled and are on no line yet.
    `buyer` None: the account's customer, as it is when the document is finalized. `tax_point` None:
    the day on which it is finalized.
    """

    account: str
    kind: Kind = Kind.INVOICE
    entity: str = MAIN
    lines: tuple[NewLine, ...] = ()
    usage: bool = False
    language: str | None = None
    reference: Annotated[str, Meta(max_length=200)] = ""
    note: Annotated[str, Meta(max_length=1000)] = ""
    period_from: date | None = None
    period_until: date | None = None
    tax_point: date | None = None
    payment_days: Annotated[int, Meta(ge=0, le=365)] | None = None
    buyer: Buyer | None = None


class Invoice(msgspec.Struct, frozen=True, kw_only=True):
    """An invoice as it stands. Amounts are micros of its currency, multiples of the minor unit.

    `total_micros` = `net_micros` + `tax_micros`; `left_micros` is what is still to be paid of it.
    `invoice_id` None: a preview. `seller` and `buyer` of a draft are as they would be frozen now;
    `number`, `issued_on` and `due_on` are None until it is finalized.
    """

    invoice_id: int | None
    kind: Kind
    status: Status
    revision: int
    account: str
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
    seller: Entity
    buyer: Buyer
    lines: tuple[Line, ...]
    taxes: tuple[RateTotal, ...]
    discount_micros: int
    net_micros: int
    tax_micros: int
    total_micros: int
    paid_micros: int = 0
    credited_micros: int = 0
    offset_micros: int = 0
    written_off_micros: int = 0
    created_at: datetime | None = None
    finalized_at: datetime | None = None
    sent_at: datetime | None = None
    paid_at: datetime | None = None
    voided_at: datetime | None = None
    uncollectible_at: datetime | None = None

    @property
    def left_micros(self) -> int:
        """What is still to be paid, or could be although it is written off."""
        return self.total_micros - self.paid_micros - self.offset_micros


def check(new: NewInvoice, mode: PaymentMode) -> None:
    """Raise InvalidInput if an account that pays so cannot have such a document."""
    name = f"a document of kind {new.kind}"
    if new.kind.settled_before and mode is not PaymentMode.PREPAID:
        raise InvalidInput(f"{name} is for prepaid accounts, and {new.account} is postpaid")
    if len(new.lines) > MAX_LINES:
        raise InvalidInput(f"{len(new.lines)} lines: allowed are {MAX_LINES}")
    if any(line.kind is ItemKind.USAGE for line in new.lines):
        raise InvalidInput("a line of kind usage: usage comes from what was settled, with `usage`")
    takes_usage = {
        PaymentMode.PREPAID: (Kind.CONSUMPTION, Kind.STATEMENT),
        PaymentMode.POSTPAID: (Kind.INVOICE,),
    }
    if new.usage and new.kind not in takes_usage[mode]:
        raise InvalidInput(f"{name} of a {mode} account cannot take usage")
    for number, line in enumerate(new.lines, 1):
        fault = _line_fault(line, new.kind)
        if fault:
            raise InvalidInput(f"line {number}: {fault}")


def _line_fault(line: NewLine, kind: Kind) -> str | None:
    if kind.settled_before and not line.charged:
        return f"a document of kind {kind} lists only what was charged before (`charged`)"
    if line.charged and not kind.settled_before:
        return f"`charged` is for consumption and top-up documents, not for kind {kind}"
    if line.charged and line.inclusive is False:
        return "what was charged before includes its tax"
    if line.charged and line.discount_micros:
        return "a discount on what was charged before would move money"
    if (line.kind is ItemKind.TOPUP) != (kind is Kind.TOPUP):
        return f"a line of kind {line.kind} on a document of kind {kind}"
    return None
