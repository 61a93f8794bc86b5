"""Codes: what people do to them while typing is told from a code that was never issued."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.errors import InvalidInput
from billing.vouchers.code import ALPHABET, SYMBOLS, digest, generate, parse, show


def made_of(symbols: list[int]) -> str:
    left = iter(symbols)
    return generate(lambda _below: next(left))


codes = st.lists(st.integers(0, len(ALPHABET) - 1), min_size=SYMBOLS - 1, max_size=SYMBOLS - 1).map(
    made_of
)


@given(codes)
def test_as_printed_it_is_read(code: str) -> None:
    assert parse(show(code)) == parse(f" {show(code).lower().replace('-', ' ')}\n") == code
    assert len(show(code)) == SYMBOLS + 3


@given(codes, st.integers(0, SYMBOLS - 1), st.sampled_from(ALPHABET))
def test_one_wrong_symbol_is_told(code: str, at: int, other: str) -> None:
    wrong = code[:at] + other + code[at + 1 :]
    if wrong != code:
        with pytest.raises(InvalidInput, match="typing error"):
            parse(wrong)


@given(codes, st.integers(0, SYMBOLS - 1), st.integers(0, SYMBOLS - 1))
def test_two_that_changed_places_are_told(code: str, one: int, other: int) -> None:
    symbols = list(code)
    symbols[one], symbols[other] = symbols[other], symbols[one]
    if "".join(symbols) != code:
        with pytest.raises(InvalidInput, match="typing error"):
            parse("".join(symbols))


@pytest.mark.parametrize("text", ["", "2345", "O" * 16, "2" * 17, "ß" * 16])
def test_what_is_no_code_is_told_and_not_repeated(text: str) -> None:
    with pytest.raises(InvalidInput, match="16 symbols") as told:
        parse(text)
    assert not text or text not in str(told.value)


def test_codes_are_random_and_so_is_what_is_kept() -> None:
    made = {generate() for _ in range(1000)}
    assert len(made) == len({digest(code) for code in made}) == 1000
    assert all(len(digest(code)) == 32 for code in made)
