"""Amounts are exact, roundings are the named ones, and texts that are no amount are refused."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rating.money import (
    EXPONENTS,
    MAX_MICROS,
    AmountError,
    Rounding,
    divide,
    format_micros,
    parse_amount,
)


@pytest.mark.parametrize(
    ("rounding", "expected"),
    [
        (Rounding.DOWN, (2, 2, -2, -2)),
        (Rounding.UP, (3, 3, -3, -3)),
        (Rounding.HALF_UP, (2, 3, -2, -3)),
    ],
)
def test_each_rounding_does_as_it_is_called(
    rounding: Rounding, expected: tuple[int, int, int, int]
) -> None:
    assert tuple(divide(n, 4, rounding) for n in (9, 10, -9, -10)) == expected


@given(st.integers(-(10**30), 10**30), st.integers(1, 10**18))
def test_half_up_is_never_further_than_half_away(numerator: int, denominator: int) -> None:
    exact = Fraction(numerator, denominator)
    assert abs(divide(numerator, denominator, Rounding.HALF_UP) - exact) <= Fraction(1, 2)


@given(st.integers(-MAX_MICROS, MAX_MICROS), st.sampled_from(sorted(EXPONENTS)))
def test_what_is_formatted_parses_to_the_same_micros(micros: int, currency: str) -> None:
    assert parse_amount(format_micros(micros, currency)) == micros


@pytest.mark.parametrize(
    ("micros", "currency", "text"),
    [
        (2_500_000, "EUR", "2.50"),
        (-1, "EUR", "-0.000001"),
        (2_000_000, "JPY", "2"),
        (2_500_000, "KWD", "2.500"),
        (0, None, "0.00"),
    ],
)
def test_amounts_show_the_decimals_of_their_currency(
    micros: int, currency: str | None, text: str
) -> None:
    assert format_micros(micros, currency) == text


@pytest.mark.parametrize(
    "text",
    [
        *("", "1,50", "1e3", "0.0000001", "12.", ".5", "--1", "1 000", "NaN", "99999999999"),
        *("\u0661\u0662", "1.\uff15"),  # digits of other scripts
    ],
)
def test_what_is_no_amount_is_refused_with_what_is_allowed(text: str) -> None:
    with pytest.raises(AmountError, match="at most"):
        parse_amount(text)
