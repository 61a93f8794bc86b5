"""What a NAS client is, and which values it may have. Pure."""

import re
from datetime import datetime
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Final

import msgspec

from billing.errors import InvalidInput

#: The table's own rule (nas_clients.name).
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")

# How an IPv6 socket shows its IPv4 peers (RFC 4291 section 2.5.5.2).
_V4_MAPPED: Final = IPv6Network("::ffff:0:0/96")


class NasClient(msgspec.Struct, frozen=True):
    """A NAS as it is published to the listeners. The secret is sealed for `secret_purpose(name)`.

    `source` is a network, address/length. `coa_host` and `coa_port` are None where requests go to
    the address the accounting came from, and to the vendor's port; `coa_bind` is the local address
    that they leave from, None for whichever the routes choose. `signs_logins` tells whether its
    Access-Requests must have a Message-Authenticator; None: as its vendor's profile says.
    """

    name: str
    source: str
    secret_sealed: bytes
    vendor: str
    coa_host: str | None = None
    coa_port: int | None = None
    coa_bind: str | None = None
    signs_logins: bool | None = None


class NasEntry(msgspec.Struct, frozen=True):
    """A NAS as staff see it, without its secret."""

    name: str
    source: str
    vendor: str
    coa_host: str | None
    coa_port: int | None
    created_at: datetime
    coa_bind: str | None = None
    signs_logins: bool | None = None


encode_client = msgspec.json.Encoder().encode
decode_client = msgspec.json.Decoder(NasClient).decode


def secret_purpose(name: str) -> str:
    """Return the purpose for which the secret of a NAS is sealed."""
    return f"nas secret: {name}"


def nas_name(text: str) -> str:
    """Return a name if it can be one. Raises InvalidInput."""
    if not _NAME.fullmatch(text):
        raise InvalidInput(
            f"NAS name {text!r}: allowed are 1 to 64 letters, digits and . _ -,"
            " beginning with a letter or digit"
        )
    return text


def source_network(text: str) -> IPv4Network | IPv6Network:
    """Return the network that requests come from: an address or address/length.

    An IPv4-mapped IPv6 network is the IPv4 network it stands for. Raises InvalidInput.
    """
    try:
        network = ip_network(text)
    except ValueError as error:
        raise InvalidInput(
            f"source {text!r}: {error}; allowed is an address or a network without host bits,"
            " such as 192.0.2.1, 192.0.2.0/24 or 2001:db8::/32"
        ) from None
    if isinstance(network, IPv6Network) and network.subnet_of(_V4_MAPPED):
        low = int(network.network_address) & 0xFFFF_FFFF
        return IPv4Network((low, network.prefixlen - _V4_MAPPED.prefixlen))
    return network


def check_secret(secret: bytes) -> bytes:
    """Return a secret if it can be one: not empty (RFC 2865 section 3). Raises InvalidInput."""
    if not secret:
        raise InvalidInput("the secret is empty; allowed is one octet or more, better 16")
    return secret


def check_vendor(text: str) -> str:
    """Return a vendor if it names one at all; whether it is known its callers see."""
    if not text:
        raise InvalidInput("the vendor is empty")
    return text


def local_address(text: str | None) -> str | None:
    """Return the local address that requests leave from, if it is one. Raises InvalidInput."""
    if text is None:
        return None
    try:
        return str(ip_address(text))
    except ValueError:
        raise InvalidInput(f"CoA source {text!r}: allowed is an IPv4 or IPv6 address") from None


def coa_address(host: str | None, port: int | None) -> tuple[str | None, int | None]:
    """Return where Disconnect- and CoA-Requests go, if that can be. Raises InvalidInput."""
    if host is not None:
        try:
            host = str(ip_address(host))
        except ValueError:
            raise InvalidInput(f"CoA host {host!r}: allowed is an IPv4 or IPv6 address") from None
    if port is not None and not 1 <= port <= 65535:
        raise InvalidInput(f"CoA port {port}: allowed is 1 to 65535")
    return host, port
