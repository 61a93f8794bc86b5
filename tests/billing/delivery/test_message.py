"""Every kind of message in every language."""

import pytest

from billing.delivery.message import MessageKind, Values, worded
from billing.entities.entity import LANGUAGES

VALUES = Values(
    seller="Nordlicht", name="Anna\nBcc: x@y.z", title="Invoice", number="INV-1", total="35.69 EUR",
    left="5.69 EUR", due="15 Apr 2026", link="https://x.example/1",
)  # fmt: skip


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_message_can_be_worded(language: str) -> None:
    for kind in MessageKind:
        made = worded(kind, language, VALUES)
        assert "Nordlicht" in made.subject
        assert "\n" not in made.subject
        assert "Anna Bcc: x@y.z" in made.body
        expected = "35.69 EUR" if kind is MessageKind.RECEIPT else "5.69 EUR"
        assert expected in made.body


def test_what_does_not_apply_is_left_out() -> None:
    paid = Values(seller="S", name="A", title="Invoice", number="1", total="1 EUR")
    assert "Please pay" not in worded(MessageKind.INVOICE, "en", paid).body
