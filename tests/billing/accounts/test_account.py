"""Which values an account may have."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.accounts.account import (
    MAX_BALANCE_MICROS,
    MAX_LIMIT_MICROS,
    account_id,
    amount_within,
    credit_limit,
    currency_code,
    idempotency_key,
    minimum_balance,
)
from billing.errors import InvalidInput
from rating.money import MAX_MICROS


@pytest.mark.parametrize("text", ["a", "A-1.2_3:4@x", "9", "x" * 64])
def test_an_account_id_may_be(text: str) -> None:
    assert account_id(text) == text


@pytest.mark.parametrize("text", ["", "x" * 65, "-a", "a b", "ä", "a\n", "a/b", "a\0"])
def test_an_account_id_may_not_be(text: str) -> None:
    with pytest.raises(InvalidInput, match=re.escape(repr(text))):
        account_id(text)


@pytest.mark.parametrize("text", ["", "eur", "EURO", "XXX"])
def test_a_currency_may_not_be(text: str) -> None:
    with pytest.raises(InvalidInput, match=re.escape(repr(text))):
        currency_code(text)


def test_limits_have_bounds() -> None:
    assert credit_limit(None) is None
    assert credit_limit(MAX_LIMIT_MICROS) == MAX_LIMIT_MICROS
    assert minimum_balance(0) == 0
    assert minimum_balance(MAX_LIMIT_MICROS) == MAX_LIMIT_MICROS
    for micros in (-1, MAX_LIMIT_MICROS + 1):
        with pytest.raises(InvalidInput, match="credit limit"):
            credit_limit(micros)
    # The store refuses a negative one, too, and the account's movements would stand still.
    for micros in (-1, MAX_LIMIT_MICROS + 1):
        with pytest.raises(InvalidInput, match="minimum balance"):
            minimum_balance(micros)


@pytest.mark.parametrize("key", ["", "x" * 256, "ä" * 128, "a\nb", "\0"])
def test_an_idempotency_key_may_not_be(key: str) -> None:
    with pytest.raises(InvalidInput, match="idempotency key"):
        idempotency_key(key)


@given(
    st.integers(min_value=-MAX_MICROS, max_value=MAX_MICROS),
    st.integers(min_value=-2 * MAX_MICROS, max_value=2 * MAX_MICROS),
)
def test_an_amount_that_is_accepted_keeps_all_sums_exact(balance: int, micros: int) -> None:
    try:
        amount_within(balance, micros, "a")
    except InvalidInput:
        assert abs(micros) > MAX_BALANCE_MICROS or abs(balance + micros) > MAX_BALANCE_MICROS
    else:
        assert abs(balance + micros) + 2 * MAX_LIMIT_MICROS <= MAX_MICROS
