"""Transactions balance, whatever they are made from."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.ledger.chart import Ledger
from billing.ledger.transaction import (
    Kind,
    Posting,
    Transaction,
    adjustment,
    remainders,
    topup,
)
from rating.money import MAX_MICROS

amounts = st.integers(min_value=1, max_value=MAX_MICROS)
currencies = st.sampled_from(["EUR", "JPY", "KWD"])


def customer_effect(transaction: Transaction) -> int:
    """What a transaction does to the balance of its customer."""
    return -sum(p.amount_micros for p in transaction.postings if p.ledger.of_customer)


@given(amounts, currencies)
def test_a_topup_balances_and_adds_what_was_paid(micros: int, currency: str) -> None:
    made = topup("a", currency, micros, actor="staff")
    assert remainders(made.postings) == {currency: 0}
    assert customer_effect(made) == micros
    assert {p.ledger for p in made.postings} == {Ledger.CASH, Ledger.CUSTOMER_CREDIT}


@given(amounts, st.booleans(), currencies)
def test_an_adjustment_balances_and_moves_no_cash(micros: int, up: bool, currency: str) -> None:
    signed = micros if up else -micros
    made = adjustment("a", currency, signed, actor="staff", description="goodwill")
    assert remainders(made.postings) == {currency: 0}
    assert customer_effect(made) == signed
    assert Ledger.CASH not in {p.ledger for p in made.postings}


@given(
    st.lists(
        st.tuples(currencies, st.integers(min_value=-(10**12), max_value=10**12).filter(bool)),
        min_size=1,
    )
)
def test_postings_that_do_not_sum_to_zero_make_no_transaction(
    amounts: list[tuple[str, int]],
) -> None:
    postings = tuple(Posting(Ledger.CASH, None, *amount) for amount in amounts)
    balanced = not any(remainders(postings).values())
    try:
        Transaction(Kind.ADJUSTMENT, None, "", "test", postings)
    except AssertionError:
        assert not balanced
    else:
        assert balanced


def test_currencies_never_balance_each_other() -> None:
    postings = (Posting(Ledger.CASH, None, "EUR", 5), Posting(Ledger.REVENUE, None, "USD", -5))
    with pytest.raises(AssertionError):
        Transaction(Kind.USAGE, None, "", "test", postings)


@pytest.mark.parametrize(
    "posting",
    [
        Posting(Ledger.CUSTOMER_CREDIT, None, "EUR", 5),
        Posting(Ledger.REVENUE, "a", "EUR", 5),
        Posting(Ledger.REVENUE, None, "EUR", 0),
    ],
)
def test_a_posting_that_is_no_posting_makes_no_transaction(posting: Posting) -> None:
    back = msgspec.structs.replace(posting, amount_micros=-posting.amount_micros)
    with pytest.raises(AssertionError):
        Transaction(Kind.USAGE, None, "", "test", (posting, back))
