"""Documents to be set, without a database."""

from datetime import date

import msgspec

from billing.credit_notes.credit import CreditNote, credit_lines
from billing.documents.content import AccountStatement, Movement, Receipt, Voucher, VoucherSheet
from billing.entities.entity import Address
from billing.invoices.composing import USAGE
from billing.invoices.invoice import Buyer, Invoice, Kind, Status
from billing.invoices.line import (
    ONE,
    ItemKind,
    NewLine,
    UsageTold,
    price,
    totals_by_rate,
    unpriced,
)
from billing.taxes.rate import AppliedRate, RoundingRule
from tests.billing.invoices.making import BUYER, NOW, SELLER

VAT = AppliedRate("USt", "DE", "standard", 190_000)
REDUCED = AppliedRate("USt", "DE", "reduced", 70_000)
ARABIC = Buyer(name="أحمد المنصوري", address=Address("شارع الملك فهد 12", "الرياض", "11564", "SA"))


def invoice(
    language: str = "en", *, inclusive: bool = False, rate: AppliedRate = VAT, currency: str = "EUR"
) -> Invoice:
    """An invoice of four lines: a fee, a discount, another rate, and usage."""
    new = [
        NewLine(
            kind=ItemKind.RECURRING,
            description="Fibre 100",
            unit_price_micros=29_990_000,
            service_from=date(2026, 3, 1),
            service_until=date(2026, 4, 1),
        ),
        NewLine(
            description="Static IPv4 address",
            unit_price_micros=2_500_000,
            quantity_micros=2 * ONE,
            discount_micros=500_000 if currency != "JPY" else 0,
            discount_reason="Loyalty",
        ),
        NewLine(description="Refund of a day", unit_price_micros=-1_000_000),
    ]
    lines = [unpriced(line, number, inclusive=inclusive) for number, line in enumerate(new, 1)]
    usage = NewLine(
        kind=ItemKind.USAGE,
        description=f"{USAGE[language]}: metered",
        unit_price_micros=12_469_134,
    )
    told = UsageTold("metered", 31, 345_678, 10**10, 123 * 10**9)
    lines.append(unpriced(usage, 4, inclusive=inclusive, usage=told))
    rates = [(rate,), (rate,), (rate,), (REDUCED if rate == VAT else rate,)]
    priced = price(lines, rates, RoundingRule.DOCUMENT, currency)
    taxed = priced.taxed
    return Invoice(
        invoice_id=42, kind=Kind.INVOICE, status=Status.OPEN, revision=1, account="anna",
        currency=currency, language=language, reference="PO 4711", note="",
        period_from=date(2026, 3, 1), period_until=date(2026, 4, 1), tax_point=date(2026, 3, 31),
        payment_days=14, tax_rounding=RoundingRule.DOCUMENT, replaces=None,
        number="INV-2026-00042", issued_on=date(2026, 4, 1), due_on=date(2026, 4, 15),
        seller=SELLER, buyer=ARABIC if language == "ar" else BUYER, lines=priced.lines,
        taxes=taxed.totals, discount_micros=priced.discount_micros, net_micros=taxed.net_micros,
        tax_micros=taxed.tax_micros, total_micros=taxed.gross_micros,
    )  # fmt: skip


def credit_note(language: str = "en") -> CreditNote:
    """A credit note over all of the invoice."""
    of = invoice(language)
    lines = credit_lines(of, [], {})
    return CreditNote(
        credit_note_id=7, invoice_id=42, invoice_number=str(of.number),
        invoice_issued_on=date(2026, 4, 1), account="anna", currency="EUR", language=language,
        number="CN-2026-00007", issued_on=date(2026, 4, 9), reason="Cancelled", seller=SELLER,
        buyer=of.buyer, lines=lines, taxes=totals_by_rate(lines), net_micros=of.net_micros,
        tax_micros=of.tax_micros, total_micros=of.total_micros, offset_micros=10_000_000,
        credit_micros=of.total_micros - 10_000_000, refund_micros=0, created_at=NOW,
    )  # fmt: skip


def receipt(language: str = "en") -> Receipt:
    """A receipt for a payment of which a part was used."""
    return Receipt(
        number="R-9", account="anna", currency="EUR", language=language, amount_micros=50_000_000,
        received_on=date(2026, 4, 9), method="bank transfer", reference="E2E-1", seller=SELLER,
        buyer=BUYER, used_for=(("INV-2026-00042", 35_690_000),),
    )  # fmt: skip


def statement(language: str = "en") -> AccountStatement:
    """An account statement of two rows."""
    rows = (
        Movement(date(2026, 3, 2), "Top-up", 20_000_000, 25_000_000),
        Movement(date(2026, 3, 3), "usage", -1_234_567, 23_765_433),
    )
    return AccountStatement(
        account="anna", currency="EUR", language=language, since=date(2026, 3, 1),
        to=date(2026, 3, 31), opening_micros=5_000_000, closing_micros=23_765_433, seller=SELLER,
        buyer=BUYER, movements=rows,
    )  # fmt: skip


def vouchers(language: str = "en", count: int = 14) -> VoucherSheet:
    """A sheet of vouchers."""
    voucher = Voucher("B1-001", "K7QD-94TR-XH2M-P3AZ", 10_000_000, date(2027, 12, 31))
    sheet = VoucherSheet(
        currency="EUR", language=language, issued_on=date(2026, 4, 1), seller=SELLER, vouchers=()
    )
    return msgspec.structs.replace(sheet, vouchers=(voucher,) * count)
