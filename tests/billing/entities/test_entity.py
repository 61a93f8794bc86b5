"""What an entity may be."""

from typing import Any

import msgspec
import pytest

from billing.entities.entity import Entity, NumberFormats, format_fault, is_iban
from billing.errors import InvalidInput
from tests.billing.invoices.making import SELLER


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"entity": "Main"}, "entity: allowed"),
        ({"language": "xx"}, "language 'xx': allowed are en, de, fr, ar"),
        ({"time_zone": "Berlin"}, "time_zone 'Berlin'"),
        ({"colour": "red"}, "colour 'red'"),
        ({"iban": "DE89370400440532013001"}, "check digits"),
        ({"bic": "X"}, "bic 'X'"),
        ({"logo": "x"}, "logo: allowed is the text of an SVG"),
        ({"numbers": NumberFormats(invoice="{number}")}, "numbers.invoice"),
    ],
)
def test_a_fault_is_named(change: dict[str, Any], told: str) -> None:
    values = {name: getattr(SELLER, name) for name in Entity.__struct_fields__} | change
    with pytest.raises(InvalidInput, match=told):
        Entity(**values)


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ("A{year}-{number:05}", True),
        ("{number:5}/{year}", True),
        ("{year}{number}", True),
        ("{number}", False),
        ("{year}{number}{number}", False),
        ("{year:2}{number}", False),
        ("{year}{number!r}", False),
        ("{year}{number:x}", False),
        ("{year}{number.real}", False),
        ("{year}{", False),
    ],
)
def test_a_number_has_a_year_and_a_number(text: str, good: bool) -> None:
    assert (format_fault(text) is None) is good


def test_ibans_have_check_digits() -> None:
    assert is_iban("GB82WEST12345698765432")
    assert not is_iban("GB82WEST12345698765431")
    assert not is_iban("GB82 WEST")


def test_an_entity_is_itself_as_json() -> None:
    assert msgspec.json.decode(msgspec.json.encode(SELLER), type=Entity) == SELLER
    assert SELLER.tax_party.jurisdiction == "DE"
