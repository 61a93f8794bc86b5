"""What documents book balances to the micro, and prepaid documents move no balance."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from billing.invoices.invoice import Invoice, Kind, Status
from billing.invoices.line import ItemKind, NewLine, UsageTold, price, unpriced
from billing.invoices.postings import finalized, opposite
from billing.ledger.chart import Ledger
from billing.ledger.transaction import remainders
from billing.taxes.rate import AppliedRate, RoundingRule
from tests.billing.invoices.making import BUYER, NOW, SELLER

VAT = AppliedRate("VAT", "DE", "standard", 190_000)


@st.composite
def invoices(draw: st.DrawFn) -> Invoice:
    kind = draw(st.sampled_from(Kind))
    prepaid = kind.settled_before
    lines = [
        unpriced(
            NewLine(
                kind=draw(st.sampled_from([ItemKind.FEE, ItemKind.USAGE])),
                description="x",
                unit_price_micros=draw(st.integers(0, 10**9)),
                charged=prepaid,
            ),
            number,
            inclusive=prepaid or draw(st.booleans()),
        )
        for number in range(1, draw(st.integers(1, 5)) + 1)
    ]
    lines = [
        msgspec.structs.replace(line, usage=UsageTold("p", 1, 1, 1, 1), charged=True)
        if line.kind is ItemKind.USAGE
        else line
        for line in lines
    ]
    priced = price(lines, [(VAT,)] * len(lines), draw(st.sampled_from(RoundingRule)), "EUR")
    return Invoice(
        invoice_id=1, kind=kind, status=Status.DRAFT, revision=1, account="a", currency="EUR",
        language="en", reference="", note="", period_from=None, period_until=None,
        tax_point=NOW.date(), payment_days=14, tax_rounding=RoundingRule.DOCUMENT, replaces=None,
        number=None, issued_on=None, due_on=None, seller=SELLER, buyer=BUYER, lines=priced.lines,
        taxes=priced.taxed.totals, discount_micros=0, net_micros=priced.taxed.net_micros,
        tax_micros=priced.taxed.tax_micros, total_micros=priced.taxed.gross_micros,
    )  # fmt: skip


@given(invoices(), st.integers(0, 10**6))
def test_what_is_booked_balances_and_is_what_the_document_says(
    invoice: Invoice, credit: int
) -> None:
    paying = min(credit, invoice.total_micros) if invoice.kind is Kind.INVOICE else 0
    entries = finalized(invoice, paying)
    booked = {each.ledger: each.amount_micros for each in entries.postings()}
    assert not any(remainders(entries.postings()).values())
    if invoice.kind in (Kind.PROFORMA, Kind.STATEMENT):
        assert not booked
        return
    usage = sum(line.exact_micros for line in invoice.lines if line.usage is not None)
    assert -booked.get(Ledger.TAX, 0) == invoice.tax_micros
    if invoice.kind is Kind.INVOICE:
        assert booked.get(Ledger.RECEIVABLE, 0) == invoice.total_micros - paying
        assert booked.get(Ledger.CUSTOMER_CREDIT, 0) == paying
        assert -booked.get(Ledger.UNBILLED_USAGE, 0) == usage
        assert entries.moves_balance_by == usage - invoice.total_micros
    else:
        assert entries.moves_balance_by == 0
        assert not any(ledger.of_customer for ledger in booked)
    # Each usage line is rounded by less than a minor unit.
    lines = sum(line.usage is not None for line in invoice.lines)
    assert abs(booked.get(Ledger.ROUNDING, 0)) <= 5_000 * lines


@given(invoices())
def test_the_opposite_takes_it_back(invoice: Invoice) -> None:
    there = finalized(invoice).postings()
    both = [*there, *opposite(there)]
    assert sum(each.amount_micros for each in both) == 0
    assert [each.ledger for each in opposite(there)] == [each.ledger for each in there]
