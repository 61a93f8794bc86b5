"""The octets that Python and Lua share. What Lua writes is read in the contract's tests."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from balances import layout
from balances.errors import StoreRefused
from balances.messages import Account, CutCause, Step
from rating.money import MAX_MICROS

MICROS = st.integers(-MAX_MICROS, MAX_MICROS)
SEQUENCES = st.integers(0, 2**53)

STEP = Step(
    session="n|1",
    nas="n",
    account="a",
    uid=b"u" * 16,
    state=b"state",
    open=True,
    expected_version=7,
    expected_rating=8,
    expected_boot=None,
    charge=9,
    want=11,
    grant=10,
    cut_after_ms=None,
    cut_cause=CutCause.SUSPENDED,
    quiet=900,
    entries=(b"x", b"y"),
    least=12,
)


@given(
    numbers=st.tuples(MICROS, MICROS, MICROS, MICROS, SEQUENCES, SEQUENCES, SEQUENCES),
    unlimited=st.booleans(),
    suspended=st.booleans(),
    closed=st.booleans(),
)
def test_an_account_is_read_as_it_was_packed(
    numbers: tuple[int, int, int, int, int, int, int],
    unlimited: bool,
    suspended: bool,
    closed: bool,
) -> None:
    balance, reserved, limit, minimum, rating, charged, moved = numbers
    account = Account(
        "é",
        "EUR",
        balance,
        reserved,
        None if unlimited else limit,
        minimum,
        rating,
        charged,
        moved,
        suspended,
        closed,
    )
    packed = struct.pack(">BBqqqqQQQ3s", 1, layout.account_flags(account), *numbers, b"EUR")
    assert layout.account_of("é", packed) == account


@pytest.mark.parametrize("value", [b"", b"\1", b"\2" + b"\0" * 60, b"\1" + b"\0" * 61])
def test_an_account_of_another_layout_is_refused(value: bytes) -> None:
    with pytest.raises(StoreRefused, match="'a' has an unknown layout"):
        layout.account_of("a", value)


@pytest.mark.parametrize("value", [b"", b"\1", b"\2" + b"\0" * 60])
def test_a_session_of_another_layout_is_refused(value: bytes) -> None:
    with pytest.raises(StoreRefused, match="unknown layout"):
        layout.session_of(value)


def test_a_step_is_laid_out_as_the_library_reads_it() -> None:
    fixed, *rest = layout.step_arguments(STEP, 3)
    assert fixed == struct.pack(
        ">BHBQQqqqqBqI16s", 2, 3, 1, 7, 8, 9, 11, 10, -1, 2, 12, 900, b"u" * 16
    )
    assert rest == ["n|1", "a", b"state", b"x", b"y"]
    closing = replace(STEP, open=False, report=False, cut_after_ms=500)
    assert layout.step_arguments(closing, 3)[0] == struct.pack(
        ">BHBQQqqqqBqI16s", 2, 3, 2, 7, 8, 9, 11, 10, 500, 2, 12, 900, b"u" * 16
    )


@pytest.mark.parametrize(
    "step", [replace(STEP, uid=b"u" * 15), replace(STEP, entries=(b"",) * 256)]
)
def test_a_step_that_does_not_fit_is_a_bug(step: Step) -> None:
    with pytest.raises(AssertionError):
        layout.step_arguments(step, 1)
