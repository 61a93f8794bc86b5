"""The parts add up, and no part is off by a unit."""

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from billing.taxes.apportion import apportion

shares = st.lists(st.fractions(-1000, 1000, max_denominator=1000), min_size=1, max_size=20)


@given(shares, st.booleans())
def test_parts_add_up_and_are_less_than_a_unit_from_their_shares(
    given_shares: list[Fraction], up: bool
) -> None:
    exact = sum(given_shares, Fraction())
    total = -(-exact // 1) if up else exact // 1
    parts = apportion(total, given_shares)
    assert sum(parts) == total
    for part, share in zip(parts, given_shares, strict=True):
        assert abs(part - share) < 1


def test_the_largest_remainder_is_rounded_up_and_of_equal_ones_the_first() -> None:
    third = Fraction(1, 3)
    assert apportion(1, [third, third, third]) == [1, 0, 0]
    assert apportion(2, [third, third * 2, Fraction(1)]) == [0, 1, 1]
    assert apportion(0, []) == []
