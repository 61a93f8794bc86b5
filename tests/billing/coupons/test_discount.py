"""Discounts sum exactly, stay within their lines, and stack in order."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.coupons.discount import Entitlement, Line, LineKind, Terms, discounted, spread
from billing.errors import InvalidInput

RECURRING, USAGE = LineKind.RECURRING, LineKind.USAGE


@given(st.data(), st.sampled_from([1, 1_000, 10_000, 1_000_000]))
def test_shares_sum_exactly_and_none_is_above_its_weight(data: st.DataObject, unit: int) -> None:
    weights = [each * unit for each in data.draw(st.lists(st.integers(0, 10**7), max_size=30))]
    total = data.draw(st.integers(0, sum(weights) // unit)) * unit
    shares = spread(total, weights, unit)
    assert sum(shares) == total
    for share, weight in zip(shares, weights, strict=True):
        assert 0 <= share <= weight
        assert share % unit == 0
        if total:
            assert abs(share * sum(weights) - total * weight) < unit * sum(weights)


@pytest.mark.parametrize(
    ("total", "weights", "shares"),
    [
        (10, [1, 1, 1], None),
        (100, [100, 100, 100], [34, 33, 33]),
        (200, [100, 100, 100], [67, 67, 66]),
        (1, [10, 20, 70], [0, 0, 1]),
        (0, [0, 0], [0, 0]),
        (0, [], []),
    ],
)
def test_what_is_left_goes_to_the_largest_remainders(
    total: int, weights: list[int], shares: list[int] | None
) -> None:
    if shares is None:
        with pytest.raises(AssertionError):
            spread(total, weights, 1)
    else:
        assert spread(total, weights, 1) == shares


def line(micros: int, kind: LineKind = RECURRING, offer: str = "o", charge: str = "c") -> Line:
    return Line(kind, offer, charge, micros)


def test_a_percentage_is_of_the_sum_and_is_rounded_once() -> None:
    # 12.5 % of 3 x 0.33 is 0.12375: 0.12
    lines = [line(330_000), line(330_000), line(330_000)]
    taken = discounted(lines, [Entitlement(1, Terms(basis_points=1250))], "EUR")
    assert taken == {1: [40_000, 40_000, 40_000]}


def test_those_of_lower_rank_come_first_and_the_others_see_what_is_left() -> None:
    percent = Entitlement(1, Terms(basis_points=5000, rank=2))
    fixed = Entitlement(2, Terms(amount_micros=4_000_000, currency="EUR", rank=1))
    assert discounted([line(10_000_000)], [percent, fixed], "EUR") == {
        2: [4_000_000],
        1: [3_000_000],
    }
    later = Entitlement(2, Terms(amount_micros=4_000_000, currency="EUR", rank=3))
    assert discounted([line(10_000_000)], [percent, later], "EUR") == {
        1: [5_000_000],
        2: [4_000_000],
    }


def test_only_lines_in_scope_are_discounted_and_credits_never() -> None:
    lines = [
        line(1_000_000, RECURRING, "home", "access"),
        line(1_000_000, RECURRING, "tv", "access"),
        line(1_000_000, USAGE, "home", "data"),
        line(-1_000_000, RECURRING, "home", "access"),
    ]
    for terms, expected in (
        (Terms(basis_points=10_000), [1, 1, 1, 0]),
        (Terms(basis_points=10_000, kinds=(USAGE,)), [0, 0, 1, 0]),
        (Terms(basis_points=10_000, offers=("home",)), [1, 0, 1, 0]),
        (Terms(basis_points=10_000, offers=("home",), charges=("access",)), [1, 0, 0, 0]),
    ):
        taken = discounted(lines, [Entitlement(1, terms)], "EUR")
        assert taken == {1: [each * 1_000_000 for each in expected]}
    nothing = Entitlement(1, Terms(basis_points=10_000, offers=("other",)))
    assert discounted(lines, [nothing], "EUR") == {}


def test_a_fixed_discount_takes_what_there_is_and_what_of_it_is_left() -> None:
    terms = Terms(amount_micros=5_000_000, currency="EUR")
    assert discounted([line(3_000_000)], [Entitlement(1, terms)], "EUR") == {1: [3_000_000]}
    assert discounted([line(9_000_000)], [Entitlement(1, terms, 2_000_000)], "EUR") == {
        1: [2_000_000]
    }
    assert discounted([line(9_000_000)], [Entitlement(1, terms)], "USD") == {}


def test_a_fixed_discount_of_a_whole_takes_its_share_of_a_part() -> None:
    bundle = Entitlement(1, Terms(amount_micros=6_000_000, currency="EUR"), None, 30_000_000)
    assert discounted([line(10_000_000), line(20_000_000)], [bundle], "EUR") == {
        1: [2_000_000, 4_000_000]
    }
    assert discounted([line(5_000_000)], [bundle], "EUR") == {1: [1_000_000]}


AMOUNTS = st.integers(-(10**4), 10**6).map(lambda minor: minor * 10_000)
TERMS = st.builds(Terms, basis_points=st.integers(1, 10_000), rank=st.integers(1, 3)) | st.builds(
    Terms,
    amount_micros=st.integers(1, 10**6).map(lambda minor: minor * 10_000),
    currency=st.just("EUR"),
    rank=st.integers(1, 3),
)


@given(st.lists(AMOUNTS, max_size=8), st.lists(TERMS, max_size=5))
def test_no_line_is_discounted_below_zero(amounts: list[int], terms: list[Terms]) -> None:
    lines = [line(amount) for amount in amounts]
    taken = discounted(lines, [Entitlement(key, t) for key, t in enumerate(terms)], "EUR")
    for index, amount in enumerate(amounts):
        off = [shares[index] for shares in taken.values()]
        assert all(each >= 0 for each in off)
        assert sum(off) <= max(amount, 0)
    for key, shares in taken.items():
        bound = terms[key].amount_micros
        assert bound is None or sum(shares) <= bound


@pytest.mark.parametrize(
    ("terms", "message"),
    [
        ({}, "either basis_points or amount_micros"),
        ({"basis_points": 1, "amount_micros": 10_000, "currency": "EUR"}, "either"),
        ({"basis_points": 0}, "allowed is 1 to 10000"),
        ({"basis_points": 10_001}, "allowed is 1 to 10000"),
        ({"amount_micros": 10_000}, "a fixed discount is in one"),
        ({"amount_micros": 10_000, "currency": "XXX"}, "a fixed discount is in one"),
        ({"amount_micros": 10_001, "currency": "EUR"}, "whole minor units of EUR"),
        ({"amount_micros": 0, "currency": "EUR"}, "more than 0"),
        ({"basis_points": 1, "cycles": 0}, "cycles is 0"),
    ],
)
def test_impossible_terms_are_refused(terms: dict[str, int], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        Terms(**terms)  # pyright: ignore[reportArgumentType] -- of any of its fields
