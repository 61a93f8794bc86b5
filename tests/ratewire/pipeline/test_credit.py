"""What a batch's accounts have, step by step: the same as the store will find."""

from hypothesis import given
from hypothesis import strategies as st

from ratewire.pipeline.credit import Credit
from tests.ratewire.records import account

AMOUNTS = st.integers(0, 10**6)


def test_what_a_step_gives_back_it_may_be_granted_again() -> None:
    owner = account(1000, reserved=400, credit_limit=50, minimum=20)
    assert Credit().available(owner, charge=0, held=0) == 630
    assert Credit().available(owner, charge=100, held=400) == 930


def test_an_overspend_is_negative() -> None:
    assert Credit().available(account(100), charge=250, held=0) == -150


def test_unlimited_credit_stays_so() -> None:
    credit, owner = Credit(), account(-5, credit_limit=None)
    credit.book(owner, charge=10**9, held=0, grant=10**9)
    assert credit.available(owner, charge=1, held=0) is None


@given(
    balance=st.integers(-(10**6), 10**7),
    steps=st.lists(st.tuples(AMOUNTS, AMOUNTS, AMOUNTS), max_size=10),
)
def test_it_moves_as_the_account_does(balance: int, steps: list[tuple[int, int, int]]) -> None:
    """Each step replaces what one session held; the snapshot of the account stays what it was."""
    held_before = sum(held for _, held, _ in steps)
    owner = account(balance, reserved=held_before)
    credit, reserved = Credit(), held_before
    for charge, held, want in steps:
        balance, reserved = balance - charge, reserved - held
        available = credit.available(owner, charge=charge, held=held)
        assert available is not None
        assert available == balance - reserved
        grant = min(want, max(available, 0))
        credit.book(owner, charge=charge, held=held, grant=grant)
        reserved += grant
    other = account(7, account="other")
    assert credit.available(other, charge=0, held=0) == 7
