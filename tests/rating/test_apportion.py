"""Shares that add up."""

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from rating.apportion import apportion
from tests.rating.oracle import hamilton

weights = st.lists(st.integers(0, 10**6), min_size=1, max_size=6).filter(any)


@given(st.integers(0, 2**63 - 1), weights)
def test_shares_add_up_and_none_is_off_by_a_unit(units: int, weighed: list[int]) -> None:
    shares = apportion(units, weighed)
    assert sum(shares) == units
    for share, weight in zip(shares, weighed, strict=True):
        assert abs(share - Fraction(units * weight, sum(weighed))) < 1


@given(st.integers(0, 10**6), weights)
def test_the_largest_remainders_get_what_is_left(units: int, weighed: list[int]) -> None:
    assert apportion(units, weighed) == hamilton(units, weighed)


def test_of_equal_remainders_the_earlier_part_gets_it() -> None:
    assert apportion(1, [1, 1]) == [1, 0]
    assert apportion(5, [1, 1, 1]) == [2, 2, 1]
