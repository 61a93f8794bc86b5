"""Whatever the parts, all of them are the line; never more, and at the rates that it had."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.credit_notes.credit import (
    Credited,
    CreditedPart,
    credit_lines,
)
from billing.errors import Conflict, InvalidInput
from billing.invoices.invoice import Invoice, Kind, Status
from billing.invoices.line import NewLine, price, totals_by_rate, unpriced
from billing.taxes.rate import AppliedRate, RoundingRule
from tests.billing.invoices.making import BUYER, NOW, SELLER

VAT = AppliedRate("VAT", "DE", "standard", 190_000)
GST = AppliedRate("GST", "CA-QC", "standard", 50_000)
QST = AppliedRate("QST", "CA-QC", "standard", 99_750)
CENT = 10_000


def invoice(*amounts: int, rates: tuple[AppliedRate, ...] = (VAT,)) -> Invoice:
    lines = [
        unpriced(NewLine(description="x", unit_price_micros=amount), number, inclusive=False)
        for number, amount in enumerate(amounts, 1)
    ]
    priced = price(lines, [rates] * len(lines), RoundingRule.DOCUMENT, "EUR")
    taxed = priced.taxed
    return Invoice(
        invoice_id=1, kind=Kind.INVOICE, status=Status.OPEN, revision=1, account="a",
        currency="EUR", language="en", reference="", note="", period_from=None, period_until=None,
        tax_point=NOW.date(), payment_days=14, tax_rounding=RoundingRule.DOCUMENT, replaces=None,
        number="INV-1", issued_on=NOW.date(), due_on=NOW.date(), seller=SELLER, buyer=BUYER,
        lines=priced.lines, taxes=taxed.totals, discount_micros=0, net_micros=taxed.net_micros,
        tax_micros=taxed.tax_micros, total_micros=taxed.gross_micros,
    )  # fmt: skip


@given(
    st.integers(1, 100_000),
    st.lists(st.integers(1, 20_000), max_size=8),
    st.sampled_from([(), (VAT,), (GST, QST)]),
)
def test_parts_and_the_rest_are_the_line(
    cents: int, parts: list[int], rates: tuple[AppliedRate, ...]
) -> None:
    document = invoice(cents * CENT, rates=rates)
    [line] = document.lines
    known = Credited(0, (0,) * len(rates))
    for part in [*(part * CENT for part in parts), None]:
        left = line.gross_micros - known.gross_micros
        if not left or (part is not None and part > left):
            with pytest.raises(Conflict):
                credit_lines(document, [CreditedPart(1, part)], {1: known})
            continue
        [made] = credit_lines(document, [CreditedPart(1, part)], {1: known})
        assert made.gross_micros == (left if part is None else part)
        assert made.net_micros % CENT == made.tax_micros % CENT == 0
        assert [tax.rate for tax in made.taxes] == list(rates)
        known = Credited(
            known.net_micros + made.net_micros,
            tuple(
                before + tax.tax_micros
                for before, tax in zip(known.tax_micros, made.taxes, strict=True)
            ),
        )
    assert known.net_micros == line.net_micros
    assert known.tax_micros == tuple(tax.tax_micros for tax in line.taxes)


def test_without_lines_all_that_is_left_is_credited() -> None:
    document = invoice(1000 * CENT, 500 * CENT)
    before = {1: Credited(1000 * CENT, (190 * CENT,))}
    [made] = credit_lines(document, [], before)
    assert (made.invoice_line, made.gross_micros) == (2, 595 * CENT)
    [total] = totals_by_rate([made])
    assert (total.base_micros, total.tax_micros) == (500 * CENT, 95 * CENT)


@pytest.mark.parametrize(
    ("parts", "told"),
    [
        ([CreditedPart(3)], "has no line 3"),
        ([CreditedPart(1), CreditedPart(1)], "stands twice"),
        ([CreditedPart(1, 5)], "whole minor units"),
        ([CreditedPart(1, -CENT)], "more than 0"),
    ],
)
def test_faulty_parts_are_refused(parts: list[CreditedPart], told: str) -> None:
    with pytest.raises(InvalidInput, match=told):
        credit_lines(invoice(1000 * CENT), parts, {})


def test_a_line_that_takes_off_is_credited_with_the_rest() -> None:
    document = invoice(1000 * CENT, -200 * CENT)
    made = credit_lines(document, [], {})
    assert sum(line.gross_micros for line in made) == document.total_micros
    assert msgspec.structs.asdict(made[1])["net_micros"] == -200 * CENT
