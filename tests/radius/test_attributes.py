"""The attribute numbers, held together with the dictionary that pyrad reads."""

import pytest

from radius import attributes as attr
from radius.dictionary import load_dictionary

# Octets of the dictionary's types of fixed length (RFC 8044 s3).
LENGTHS = {"integer": 4, "date": 4, "ipaddr": 4, "ipv6addr": 16, "ifid": 8}


@pytest.mark.parametrize("constant", [name for name in vars(attr) if name.isupper()])
def test_each_number_is_the_dictionarys_number_of_that_name(constant: str) -> None:
    number: object = getattr(attr, constant)
    if not isinstance(number, int) or constant == "VENDOR_SPECIFIC":
        return
    named = {
        entry.code: name for name, entry in load_dictionary().attributes.items() if not entry.vendor
    }
    assert named[number].replace("-", "_").upper() == constant


def test_fixed_lengths_and_prefixes_are_those_of_the_dictionarys_types() -> None:
    """Every attribute of fixed length that the dictionary knows is held to its length."""
    entries = [each for each in load_dictionary().attributes.items() if not each[1].vendor]
    fixed = {
        entry.code: (name, LENGTHS[entry.type]) for name, entry in entries if entry.type in LENGTHS
    }
    fixed[attr.MESSAGE_AUTHENTICATOR] = ("Message-Authenticator", 16)
    assert fixed == attr.FIXED_LENGTHS
    prefixes = {entry.code: name for name, entry in entries if entry.type == "ipv6prefix"}
    assert prefixes == attr.IPV6_PREFIXES
