"""What is sent of an invoice is what billing makes a draft of, exactly."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.errors import InvalidInput
from billing.invoices.line import MAX_AMOUNT
from ratewire.http.billing.invoice_forms import InvoiceRequest, LineRequest
from rating.money import format_micros


@given(st.integers(-MAX_AMOUNT, MAX_AMOUNT), st.integers(0, 10**14), st.integers(0, MAX_AMOUNT))
def test_amounts_and_quantities_are_exact(price: int, quantity: int, discount: int) -> None:
    line = LineRequest(
        description="x",
        unit_price=format_micros(price),
        quantity=format_micros(quantity),
        discount=format_micros(discount),
    )
    [made] = InvoiceRequest(account="a", lines=(line,)).new().lines
    kept = (made.unit_price_micros, made.quantity_micros, made.discount_micros)
    assert kept == (price, quantity, discount)


def test_a_fault_is_told_with_its_place() -> None:
    good = LineRequest(description="x", unit_price="1")
    bad = LineRequest(description="x", unit_price="1000000000.01")
    with pytest.raises(InvalidInput, match="lines/1/unit_price"):
        InvoiceRequest(account="a", lines=(good, bad)).new()
