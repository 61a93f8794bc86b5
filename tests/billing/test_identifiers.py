"""What an account or a customer may be called."""

import pytest

from billing.errors import InvalidInput
from billing.identifiers import identifier


@pytest.mark.parametrize("text", ["a", "7", "acme-7", "a@b.c", "x" * 64, "A:_."])
def test_what_is_one(text: str) -> None:
    assert identifier(text, "account") == text


@pytest.mark.parametrize("text", ["", "-a", ".a", "a b", "x" * 65, "\u00e4", "a\n"])
def test_what_is_none_is_told_with_its_kind(text: str) -> None:
    with pytest.raises(InvalidInput, match=r"customer .*: allowed are 1 to 64 letters"):
        identifier(text, "customer")
