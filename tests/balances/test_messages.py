"""What is said to the books: values that refuse to be what cannot be said."""

import pytest

from balances.messages import (
    Account,
    AnyMovement,
    DropSubscriber,
    OpenAccount,
    Position,
    Post,
    PutSubscriber,
    SetLimits,
    SetStatus,
    decode_movement,
    encode_movement,
)
from rating.money import MAX_MICROS


def test_what_is_available_counts_all_four() -> None:
    account = Account("a", "EUR", 100, 30, 50, 5, 1, 0, 1)
    assert account.available == 115
    assert Account("a", "EUR", 100, 30, None, 5, 1, 0, 1).available is None
    assert Account("a", "EUR", -100, 0, 0, 5, 1, 0, 1).available == -105


@pytest.mark.parametrize(
    "movement",
    [
        OpenAccount("a", 1, "EUR", None, 5),
        Post("a", 2, -MAX_MICROS),
        SetLimits("a", 3, MAX_MICROS, 0),
        SetStatus("a", 4, True, False),
        PutSubscriber("a", 5, "bob é\0", "metered"),
        DropSubscriber("a", 6, "bob"),
    ],
)
def test_a_movement_comes_out_of_the_outbox_as_it_went_in(movement: AnyMovement) -> None:
    assert decode_movement(encode_movement(movement)) == movement


@pytest.mark.parametrize("amount", [MAX_MICROS + 1, -MAX_MICROS - 1])
def test_an_amount_beyond_the_bound_is_a_bug(amount: int) -> None:
    with pytest.raises(AssertionError):
        Post("a", 1, amount)


def test_positions_are_ordered_by_generation_first() -> None:
    assert Position(1, 99) < Position(2, 0) < Position(2, 1)
