"""Attributes by name: as pyrad encodes them, and what does not fit is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyrad.packet import AuthPacket

from radius.dictionary import load_dictionary
from radius.encoding import Line, LineError, Value, encode, named, vendor_specific, vendor_values
from radius.packet import attribute


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("User-Name", "jörg"),
        ("Class", b"\x00\xff"),
        ("Session-Timeout", 3600),
        ("Framed-IP-Address", "198.51.100.7"),
        ("Framed-IPv6-Address", "2001:db8::7"),
        ("Mikrotik-Rate-Limit", "512k/2048k"),
        ("Mikrotik-Total-Limit", 2**32 - 1),
        ("MS-CHAP2-Success", b"\x01S=AB"),
        ("Alc-Credit-Control-Quota", "5B|0s|total"),
    ],
)
def test_the_octets_are_those_of_pyrad(name: str, value: Value) -> None:
    packet = AuthPacket(secret=b"s", dict=load_dictionary())
    packet.AddAttribute(name, value)
    assert packet.RequestPacket()[20:] == attribute(*encode(name, value))


def test_a_tagged_number_has_24_bits() -> None:
    """RFC 2868 s3.1: the tag takes the place of the highest octet."""
    kind, octets = encode("ERX-Service-Volume", 0x123456, tag=3)
    assert (kind, octets) == (26, vendor_specific(4874, 67, b"\x03\x12\x34\x56"))
    _, octets = encode("ERX-Service-Activate", "basic", tag=1)
    assert octets == vendor_specific(4874, 65, b"\x01basic")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("No-Such", 1),
        ("Session-Timeout", -1),
        ("Session-Timeout", 2**32),
        ("Session-Timeout", "soon"),
        ("Framed-IP-Address", "198.51.100"),
        ("User-Name", "x" * 254),
        ("Mikrotik-Group", "x" * 248),
    ],
)
def test_what_does_not_fit_is_refused(name: str, value: Value) -> None:
    with pytest.raises(LineError, match=name):
        encode(name, value)


def test_a_line_names_an_attribute_and_fills_its_places() -> None:
    line = Line("Mikrotik-Rate-Limit = {up_kbps}k/{down_kbps}k")
    assert line.attribute({"up_kbps": 1, "down_kbps": 2}) == encode("Mikrotik-Rate-Limit", "1k/2k")
    with pytest.raises(LineError, match="up_kbps"):
        line.attribute({"down_kbps": 2})
    for text in ("Filter-Id", "No-Such = 1", "= 1", ""):
        with pytest.raises(LineError):
            Line(text)


@given(st.lists(st.binary(max_size=40), max_size=4), st.integers(0, 255))
def test_values_of_a_vendor_are_found_whatever_else_is_there(noise: list[bytes], kind: int) -> None:
    """Nothing that a NAS sends makes it raise, or hides a well-formed one beside it."""
    found = vendor_values((*noise, vendor_specific(9, kind, b"here")), 9, kind)
    assert found[-1] == b"here"


def test_several_values_in_one_attribute_are_all_found() -> None:
    inside = b"\x00\x00\x00\x09" + b"\x01\x03a" + b"\x02\x03b" + b"\x01\x03c"
    assert vendor_values((inside,), 9, 1) == [b"a", b"c"]
    assert vendor_values((inside + b"\x01\x00",), 9, 1) == [b"a", b"c"], "a length of zero"
    assert vendor_values((inside,), 10, 1) == []


def test_what_the_dictionary_does_not_know_has_no_name() -> None:
    assert named("No-Such") is None
    found = named("ERX-Service-Volume")
    assert found is not None
    assert (found.vendor, found.kind, found.tagged) == (4874, 67, True)
