"""Which values a NAS client may have."""

import re
from ipaddress import ip_network

import pytest

from billing.errors import InvalidInput
from billing.nas.client import (
    NasClient,
    check_secret,
    check_vendor,
    coa_address,
    decode_client,
    encode_client,
    nas_name,
    source_network,
)


@pytest.mark.parametrize(
    ("text", "network"),
    [
        ("192.0.2.1", "192.0.2.1/32"),
        ("192.0.2.0/24", "192.0.2.0/24"),
        ("0.0.0.0/0", "0.0.0.0/0"),
        ("2001:db8::/32", "2001:db8::/32"),
        ("2001:DB8::1", "2001:db8::1/128"),
        ("::ffff:192.0.2.0/120", "192.0.2.0/24"),
    ],
)
def test_a_source_is_an_address_or_a_network(text: str, network: str) -> None:
    assert source_network(text) == ip_network(network)


@pytest.mark.parametrize(
    "text",
    ["", "192.0.2.1/24", "192.0.2.0/33", "nas1.example.net", "2001:db8::1/64", "10.0.0.0/-1"],
)
def test_anything_else_is_refused_with_what_is_allowed(text: str) -> None:
    with pytest.raises(InvalidInput, match=re.escape(repr(text)) + ".*allowed is an address"):
        source_network(text)


def test_host_bits_are_named() -> None:
    with pytest.raises(InvalidInput, match="has host bits set"):
        source_network("192.0.2.1/24")


@pytest.mark.parametrize("text", ["", "a b", "a/b", "-a", "x" * 65, "ä"])
def test_a_name_may_not_be(text: str) -> None:
    with pytest.raises(InvalidInput, match="NAS name"):
        nas_name(text)


def test_a_secret_and_a_vendor_are_not_empty() -> None:
    assert check_secret(b"s") == b"s"
    with pytest.raises(InvalidInput, match="secret is empty"):
        check_secret(b"")
    with pytest.raises(InvalidInput, match="vendor is empty"):
        check_vendor("")


def test_a_coa_address_is_an_address_and_a_port() -> None:
    assert coa_address(None, None) == (None, None)
    assert coa_address("2001:DB8::1", 3799) == ("2001:db8::1", 3799)
    for host in ("nas1", "192.0.2.0/24", ""):
        with pytest.raises(InvalidInput, match="CoA host"):
            coa_address(host, None)
    for port in (0, 65536, -1):
        with pytest.raises(InvalidInput, match="CoA port"):
            coa_address(None, port)


def test_a_published_client_comes_back() -> None:
    client = NasClient("n", "192.0.2.0/24", bytes(range(256)), "mikrotik", "192.0.2.9", 1700)
    assert decode_client(encode_client(client)) == client
