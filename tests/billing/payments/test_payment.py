"""What may become of a payment, and what can be paid."""

import pytest

from billing.errors import Conflict, InvalidInput
from billing.payments.payment import TRANSITIONS, PaymentStatus, advance, payable, text

P = PaymentStatus


@pytest.mark.parametrize(
    ("begin", "reachable"),
    [
        (P.PENDING, {P.SUCCEEDED, P.FAILED, P.CANCELLED, P.UNKNOWN}),
        (P.UNKNOWN, {P.SUCCEEDED, P.FAILED}),
        (P.SUCCEEDED, set[PaymentStatus]()),
        (P.FAILED, {P.SUCCEEDED}),
        (P.CANCELLED, {P.SUCCEEDED}),
    ],
)
def test_a_payment_goes_only_forward(begin: PaymentStatus, reachable: set[PaymentStatus]) -> None:
    for to in PaymentStatus:
        if to in reachable:
            assert advance(begin, to) is to
        else:
            with pytest.raises(Conflict, match=f"that is {begin} cannot become {to}"):
                advance(begin, to)
    assert set(TRANSITIONS) == set(PaymentStatus)


@pytest.mark.parametrize(
    ("micros", "currency"), [(10_000, "EUR"), (1_000_000, "JPY"), (1_000, "KWD"), (2**52, "KWD")]
)
def test_whole_minor_units_can_be_paid(micros: int, currency: str) -> None:
    assert payable(micros - micros % 1_000, currency) == micros - micros % 1_000


@pytest.mark.parametrize(
    ("micros", "currency"),
    [(0, "EUR"), (-10_000, "EUR"), (5_000, "EUR"), (500_000, "JPY"), (100, "KWD"), (2**53, "EUR")],
)
def test_nothing_else_can(micros: int, currency: str) -> None:
    with pytest.raises(InvalidInput, match=r"more than 0, with at most \d decimals"):
        payable(micros, currency)


def test_a_text_is_printable_and_short() -> None:
    assert text("Überweisung 7", "reference") == "Überweisung 7"
    for wrong in ("a\nb", "x" * 256, "ü" * 128):
        with pytest.raises(InvalidInput, match="reference: allowed are at most 255"):
            text(wrong, "reference")
