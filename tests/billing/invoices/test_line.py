"""Total = lines + taxes - discounts, whatever is sold, in every currency, under both rules."""

from datetime import date

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.cycles.proration import minor_unit
from billing.errors import InvalidInput
from billing.invoices.line import (
    ONE,
    ItemKind,
    NewLine,
    UsageTold,
    asked_for,
    price,
    totals_of,
    unpriced,
)
from billing.taxes.rate import AppliedRate, RoundingRule

VAT = AppliedRate("VAT", "DE", "standard", 190_000)
GST = AppliedRate("GST", "CA-QC", "standard", 50_000)
QST = AppliedRate("QST", "CA-QC", "standard", 95_000, compound=True)


@st.composite
def new_lines(draw: st.DrawFn) -> NewLine:
    return NewLine(
        description="x",
        unit_price_micros=draw(st.integers(-(10**11), 10**11)),
        quantity_micros=draw(st.integers(0, 20 * ONE)),
        inclusive=draw(st.sampled_from([True, False, None])),
    )


@given(
    st.lists(st.tuples(new_lines(), st.sampled_from([(), (VAT,), (GST,), (GST, QST)])), max_size=8),
    st.sampled_from(["JPY", "EUR", "BHD"]),
    st.sampled_from(RoundingRule),
    st.booleans(),
)
def test_what_lines_come_to_adds_up_to_the_minor_unit(
    given_lines: list[tuple[NewLine, tuple[AppliedRate, ...]]],
    currency: str,
    rule: RoundingRule,
    inclusive: bool,
) -> None:
    unit = minor_unit(currency)
    rates = [of_line for _, of_line in given_lines]
    lines = [unpriced(new, n, inclusive=inclusive) for n, (new, _) in enumerate(given_lines, 1)]
    amounts = [line.amount_micros for line in price(lines, rates, rule, currency).lines]
    # A third off each line of which there is something to take off.
    lines = [
        msgspec.structs.replace(line, discount_micros=max(0, amount // unit // 3 * unit))
        for line, amount in zip(lines, amounts, strict=True)
    ]
    priced = price(lines, rates, rule, currency)
    total = priced.taxed.gross_micros
    assert total == sum(
        line.amount_micros - line.discount_micros + (0 if line.inclusive else line.tax_micros)
        for line in priced.lines
    )
    assert totals_of(priced.lines) == (priced.taxed.net_micros, priced.taxed.tax_micros)
    for line in priced.lines:
        assert line.net_micros % unit == line.tax_micros % unit == line.amount_micros % unit == 0
        assert line.tax_micros == sum(tax.tax_micros for tax in line.taxes)
        exact = line.quantity_micros * line.unit_price_micros
        assert 2 * abs(line.amount_micros * ONE - exact) <= unit * ONE
    assert price(priced.lines, rates, rule, currency) == priced


def test_a_quantity_may_be_a_part_and_a_price_finer_than_the_minor_unit() -> None:
    new = NewLine(description="hours", unit_price_micros=1_333_333, quantity_micros=1_500_000)
    [line] = price([unpriced(new, 1, inclusive=False)], [()], RoundingRule.LINE, "EUR").lines
    assert line.amount_micros == 2_000_000


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ({"discount_micros": 5_000}, "whole minor units of EUR"),
        ({"discount_micros": 2_000_000}, "a discount of 2.00 is more than its amount, 1.00"),
        (
            {"service_from": date(2026, 1, 2), "service_until": date(2026, 1, 2)},
            "line 1: its period ends before it begins",
        ),
        ({"unit_price_micros": 10**15, "quantity_micros": 10**10}, "is too large"),
    ],
)
def test_a_faulty_line_is_refused(line: dict[str, object], told: str) -> None:
    new = msgspec.structs.replace(NewLine(description="x", unit_price_micros=1_000_000), **line)
    with pytest.raises(InvalidInput, match=told):
        price([unpriced(new, 1, inclusive=False)], [()], RoundingRule.LINE, "EUR")


def test_a_line_tells_what_it_was_made_of() -> None:
    new = NewLine(description="x", unit_price_micros=7, inclusive=True, tax_category="reduced")
    assert asked_for(unpriced(new, 1, inclusive=False)) == new
    told = UsageTold("p", 1, 2, 3, 4)
    used = NewLine(kind=ItemKind.USAGE, description="x", unit_price_micros=1)
    usage = unpriced(used, 1, inclusive=True, usage=told)
    assert (usage.plan, usage.charged, usage.exact_micros) == ("p", True, 1)
