"""Money is told as it is read."""

import pytest

from billing.errors import InvalidInput
from ratewire.http.amounts import read, shown, shown_or_none


def test_what_is_shown_is_read() -> None:
    for micros, currency, text in (
        (12_500_000, "EUR", "12.50"),
        (-1, "EUR", "-0.000001"),
        (7_000_000, "JPY", "7"),
    ):
        assert shown(micros, currency) == text
        assert read(text, "amount") == micros
    assert shown_or_none(None, "EUR") is None
    assert shown_or_none(0, "KWD") == "0.000"


def test_what_is_no_amount_is_told_with_its_field() -> None:
    with pytest.raises(InvalidInput, match="fee: '1e3' is not an amount"):
        read("1e3", "fee")
