"""Total = lines + taxes, to the minor unit, whatever the rates, the rule and the currency."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.taxes.calculation import TaxableLine, TaxedDocument, tax_document
from billing.taxes.rate import ALL, AppliedRate, RoundingRule

VAT = AppliedRate("VAT", "DE", "standard", 190_000)
REDUCED = AppliedRate("VAT", "DE", "reduced", 70_000)
GST = AppliedRate("GST", "CA-QC", "standard", 50_000)
QST = AppliedRate("QST", "CA-QC", "standard", 95_000, compound=True)
CENT = 10_000

rates = st.builds(
    AppliedRate,
    st.sampled_from(["A", "B", "C"]),
    st.just("XX"),
    st.sampled_from(["standard", "reduced"]),
    st.integers(0, ALL),
    st.booleans(),
)


@st.composite
def documents(draw: st.DrawFn) -> tuple[list[TaxableLine], RoundingRule, int]:
    unit = 10 ** (6 - draw(st.sampled_from([0, 2, 3])))
    known = draw(st.lists(rates, min_size=1, max_size=4, unique=True))
    lines = draw(
        st.lists(
            st.builds(
                TaxableLine,
                st.integers(-(10**9), 10**9).map(lambda amount: amount * unit),
                st.lists(st.sampled_from(known), unique=True, max_size=3).map(tuple),
                st.booleans(),
            ),
            max_size=12,
        )
    )
    return lines, draw(st.sampled_from(RoundingRule)), unit


def exact_taxes(line: TaxableLine) -> list[Fraction]:
    """By the definition, tax after tax."""
    taxes: list[Fraction] = []
    for rate in line.rates:
        taxes.append(Fraction(rate.ppm, ALL) * (1 + sum(taxes) if rate.compound else 1))
    net = Fraction(line.amount_micros) / (1 + sum(taxes) if line.inclusive else 1)
    return [net * tax for tax in taxes]


@given(documents())
def test_lines_and_taxes_are_the_total_in_whole_minor_units(
    document: tuple[list[TaxableLine], RoundingRule, int],
) -> None:
    lines, rule, unit = document
    taxed = tax_document(lines, rule, unit)
    for line, made in zip(lines, taxed.lines, strict=True):
        assert line.amount_micros == (made.gross_micros if line.inclusive else made.net_micros)
        assert all(amount % unit == 0 for amount in (made.net_micros, *made.tax_micros))
    assert taxed.net_micros == sum(made.net_micros for made in taxed.lines)
    assert taxed.gross_micros == taxed.net_micros + taxed.tax_micros
    assert taxed.gross_micros == sum(made.gross_micros for made in taxed.lines)
    assert taxed.tax_micros == sum(total.tax_micros for total in taxed.totals)


@given(documents())
def test_no_tax_is_further_from_exact_than_its_rule_says(
    document: tuple[list[TaxableLine], RoundingRule, int],
) -> None:
    lines, rule, unit = document
    taxed = tax_document(lines, rule, unit)
    half = Fraction(unit, 2)
    exact = [exact_taxes(line) for line in lines]
    if rule is RoundingRule.LINE:
        for shares, made in zip(exact, taxed.lines, strict=True):
            for share, amount in zip(shares, made.tax_micros, strict=True):
                assert abs(amount - share) <= half
        return
    for total in taxed.totals:
        both = [
            sum(
                (
                    share
                    for line, shares in zip(lines, exact, strict=True)
                    for rate, share in zip(line.rates, shares, strict=True)
                    if rate == total.rate and line.inclusive is inclusive
                ),
                Fraction(),
            )
            for inclusive in (False, True)
        ]
        # Prices with and without tax are rounded apart: half a unit for each of them.
        assert abs(total.tax_micros - sum(both)) <= half * sum(1 for share in both if share % unit)
    for shares, made in zip(exact, taxed.lines, strict=True):
        for share, amount in zip(shares, made.tax_micros, strict=True):
            assert abs(amount - share) < unit


@given(documents())
def test_a_document_of_the_opposite_amounts_has_the_opposite_taxes(
    document: tuple[list[TaxableLine], RoundingRule, int],
) -> None:
    lines, rule, unit = document
    opposite = [TaxableLine(-line.amount_micros, line.rates, line.inclusive) for line in lines]
    there, back = tax_document(lines, rule, unit), tax_document(opposite, rule, unit)
    assert [total.tax_micros for total in back.totals] == [
        -total.tax_micros for total in there.totals
    ]


def taxes(taxed: TaxedDocument) -> list[int]:
    return [total.tax_micros for total in taxed.totals]


def test_the_two_rules_differ_where_halves_add_up() -> None:
    # 19 % of 0.50 is 0.095: 0.10 a line, but 0.29 (0.285) of the three together.
    lines = [TaxableLine(50 * CENT, (VAT,))] * 3
    assert taxes(tax_document(lines, RoundingRule.LINE, CENT)) == [30 * CENT]
    assert taxes(tax_document(lines, RoundingRule.DOCUMENT, CENT)) == [29 * CENT]


@pytest.mark.parametrize(
    ("gross", "net"), [(119, 100), (100, 84), (1, 1), (50, 42), (-119, -100), (-50, -42)]
)
def test_of_a_price_that_includes_tax_the_net_is_rounded(gross: int, net: int) -> None:
    for rule in RoundingRule:
        line = TaxableLine(gross * CENT, (VAT,), inclusive=True)
        assert tax_document([line], rule, CENT).net_micros == net * CENT


def test_an_included_half_goes_to_the_net() -> None:
    # 100 % of tax in a price of 0.01: the net is 0.005, which is 0.01, and the tax is nothing.
    double = AppliedRate("VAT", "XX", "standard", ALL)
    taxed = tax_document([TaxableLine(CENT, (double,), inclusive=True)], RoundingRule.LINE, CENT)
    assert (taxed.net_micros, taxed.tax_micros) == (CENT, 0)


def test_a_compound_tax_is_also_on_the_one_before_it() -> None:
    # 100.00: GST 5.00, QST 9.5 % of 105.00 = 9.975 -> 9.98.
    [line] = tax_document(
        [TaxableLine(10_000 * CENT, (GST, QST))], RoundingRule.DOCUMENT, CENT
    ).lines
    assert line.tax_micros == (500 * CENT, 998 * CENT)


def test_rates_are_totalled_each_by_itself() -> None:
    lines = [
        TaxableLine(1000 * CENT, (VAT,)),
        TaxableLine(500 * CENT, (REDUCED,)),
        TaxableLine(2000 * CENT, (VAT,)),
    ]
    totals = tax_document(lines, RoundingRule.DOCUMENT, CENT).totals
    assert [(t.rate, t.base_micros, t.tax_micros) for t in totals] == [
        (VAT, 3000 * CENT, 570 * CENT),
        (REDUCED, 500 * CENT, 35 * CENT),
    ]


@pytest.mark.parametrize(("exponent", "tax"), [(0, 10), (2, 10), (3, 10)])
def test_minor_units_may_have_no_decimals_or_three(exponent: int, tax: int) -> None:
    unit = 10 ** (6 - exponent)
    ten_percent = AppliedRate("VAT", "XX", "standard", 100_000)
    taxed = tax_document([TaxableLine(99 * unit, (ten_percent,))], RoundingRule.DOCUMENT, unit)
    assert taxed.tax_micros == tax * unit
