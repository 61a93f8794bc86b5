"""Which values a subscriber may have."""

import pytest

from billing.errors import InvalidInput
from billing.subscribers.subscriber import (
    check_password,
    check_username,
    password_purpose,
)


@pytest.mark.parametrize(
    "text", ["a", "user name@isp.example", "ünï☎", "x" * 253, "'; --", '"', " ", "a|b/c\\d"]
)
def test_a_user_name_may_be(text: str) -> None:
    assert check_username(text) == text


@pytest.mark.parametrize("text", ["", "a\0b", "x" * 254, "ü" * 127, "\ud800"])
def test_a_user_name_may_not_be(text: str) -> None:
    with pytest.raises(InvalidInput, match="user name"):
        check_username(text)


def test_a_password_has_1_to_128_octets_and_is_not_shown() -> None:
    assert check_password(b"x" * 128) == b"x" * 128
    for octets in (b"", b"secret" * 22):
        with pytest.raises(InvalidInput, match=f"has {len(octets)} octets") as caught:
            check_password(octets)
        assert "secret" not in str(caught.value)


def test_a_password_is_sealed_for_its_subscriber() -> None:
    assert password_purpose("a") != password_purpose("b")
