"""Attributes by name: their octets, also those of vendors and of tagged ones.

A value is encoded by the type that the dictionary gives it. A vendor's attribute is one octet of
type and one of length inside of Vendor-Specific (RFC 2865 s5.26); other formats are not known here.
"""

from functools import cache
from ipaddress import IPv4Address, IPv6Address, IPv6Network
from typing import Final

import msgspec

from radius.attributes import VENDOR_SPECIFIC
from radius.dictionary import load_dictionary
from radius.packet import MAX_VALUE_OCTETS

Value = str | int | bytes
Attribute = tuple[int, bytes]
"""An attribute type and its raw value, as `radius.packet.attribute` takes it."""

#: RFC 2865 s5.26: vendor, and the type and length of what is inside.
_VENDOR_HEAD: Final = 6


class LineError(ValueError):
    """A line that is no attribute, or a value that does not fit; the message says which."""


class Named(msgspec.Struct, frozen=True):
    """What the dictionary says of an attribute. `vendor` is 0 for a standard one."""

    name: str
    vendor: int
    kind: int
    type: str
    tagged: bool


@cache
def named(name: str) -> Named | None:
    """The attribute of this name, or None."""
    dictionary = load_dictionary()
    entry = dictionary.attributes.get(name)
    if entry is None:
        return None
    vendor = dictionary.vendors.GetForward(entry.vendor) if entry.vendor else 0
    return Named(name, vendor, entry.code, entry.type, entry.has_tag)


def encode(name: str, value: Value, tag: int = 0) -> Attribute:
    """The attribute of this name with this value. Raises LineError.

    `tag` is put before the value of a tagged attribute, whose number then has 24 bits
    (RFC 2868 s3).
    """
    found = named(name)
    if found is None:
        raise LineError(f"{name!r} is no attribute that the dictionary knows")
    octets = _octets(found, value)
    if tag:
        octets = bytes((tag,)) + (octets[1:] if found.type == "integer" else octets)
    if found.vendor:
        if len(octets) > MAX_VALUE_OCTETS - _VENDOR_HEAD:
            raise LineError(f"{name}: {len(octets)} octets; allowed are up to 247")
        return VENDOR_SPECIFIC, vendor_specific(found.vendor, found.kind, octets)
    if len(octets) > MAX_VALUE_OCTETS:
        raise LineError(f"{name}: {len(octets)} octets; allowed are up to 253")
    return found.kind, octets


def vendor_specific(vendor: int, kind: int, value: bytes) -> bytes:
    """The value of a Vendor-Specific attribute that holds one attribute of a vendor."""
    return vendor.to_bytes(4) + bytes((kind, len(value) + 2)) + value


def vendor_values(specific: tuple[bytes, ...], vendor: int, kind: int) -> list[bytes]:
    """The values of a vendor's attribute in Vendor-Specific attributes; malformed rest is left."""
    found: list[bytes] = []
    head = vendor.to_bytes(4)
    for octets in specific:
        at = 4
        while octets.startswith(head) and at + 2 <= len(octets):
            size = octets[at + 1]
            if size < 2 or at + size > len(octets):
                break
            if octets[at] == kind:
                found.append(octets[at + 2 : at + size])
            at += size
    return found


class Line:
    """An attribute as a profile says it: 'Attribute-Name = value', with {places} in the value.

    Raises LineError for a line that has no such form or names no attribute.
    """

    def __init__(self, text: str) -> None:
        self.name, equals, self._template = (part.strip() for part in text.partition("="))
        if not equals or named(self.name) is None:
            raise LineError(f"{text!r} is not 'Attribute-Name = value' of a known attribute")

    def attribute(self, places: dict[str, int] | dict[str, str]) -> Attribute:
        """The attribute with its places filled in. Raises LineError."""
        try:
            return encode(self.name, self._template.format(**places))
        except (KeyError, IndexError, ValueError) as error:
            raise LineError(f"{self.name}: {self._template!r}: {error}") from error


def _octets(found: Named, value: Value) -> bytes:
    try:
        match found.type:
            case "integer" | "date":
                return int(value).to_bytes(4)
            case "integer64":
                return int(value).to_bytes(8)
            case "ipaddr":
                return IPv4Address(str(value)).packed
            case "ipv6addr":
                return IPv6Address(str(value)).packed
            case "ipv6prefix":
                prefix = IPv6Network(str(value))
                return bytes((0, prefix.prefixlen)) + prefix.network_address.packed
            case _:
                return value if isinstance(value, bytes) else str(value).encode()
    except (ValueError, OverflowError) as error:
        raise LineError(f"{found.name}: {value!r} does not fit {found.type}") from error
