"""What an accounting request says, in the terms of the rest of the system."""

from enum import IntEnum
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Protocol

import msgspec

from radius import attributes as attr


class AcctStatus(IntEnum):
    """Acct-Status-Type (RFC 2866 s5.1; 9 to 14: RFC 2867 s3)."""

    START = 1
    STOP = 2
    INTERIM = 3
    ACCOUNTING_ON = 7
    ACCOUNTING_OFF = 8
    TUNNEL_START = 9
    TUNNEL_STOP = 10
    TUNNEL_REJECT = 11
    TUNNEL_LINK_START = 12
    TUNNEL_LINK_STOP = 13
    TUNNEL_LINK_REJECT = 14
    FAILED = 15


class Attributes(Protocol):
    """Raw values by attribute type: a decoded packet, or a plain dictionary."""

    def get(self, kind: int, /) -> bytes | None:
        """The first value of an attribute type, None when it is absent."""
        ...


class AccountingRecord(msgspec.Struct, frozen=True, gc=False):
    """One accounting request, decoded. Counters are cumulative since the session began.

    Texts are valid UTF-8 without NUL; octets that are not appear as `\\xNN`. `None` means that
    the attribute was absent.
    """

    status: int
    """Acct-Status-Type: one of START, STOP, INTERIM, ACCOUNTING_ON, ACCOUNTING_OFF."""
    session_id: str
    """Acct-Session-Id; empty only for Accounting-On and -Off."""
    user_name: str | None
    client: str
    """Name of the configured NAS client."""
    nas: str
    """Scope key of the NAS: the client's name, "/", and NAS-Identifier, else NAS-IP-Address, else
    NAS-IPv6-Address, else the source address. Acct-Session-Id is unique within it only."""
    source_host: str
    source_port: int
    session_seconds: int | None
    octets_in: int | None
    """64-bit octets from the user (upload), Gigawords merged in."""
    octets_out: int | None
    """64-bit octets to the user (download), Gigawords merged in."""
    has_gigawords: bool
    """Whether a Gigawords attribute was present, so that the counters cannot wrap at 2^32."""
    event_time: int
    """When it happened on the NAS, Unix seconds."""
    arrived_ms: int
    """When the datagram was read, Unix milliseconds."""
    terminate_cause: int | None
    attributes: Attributes
    """First value of each attribute, raw. Attributes of fixed length have that length."""
    classes: tuple[bytes, ...]
    """All Class values, in order."""


class SessionIdentity(msgspec.Struct, array_like=True, frozen=True):
    """What finds a session on its NAS again, and shows it to staff. Packs as an array.

    Fields are only ever added at the end, with a default, since packed identities outlive the
    process that wrote them.
    """

    client: str
    nas: str
    source_host: str
    user_name_raw: bytes | None
    """User-Name exactly as the NAS sent it: it must go back like that."""
    session_id_raw: bytes
    nas_identifier: bytes | None
    nas_ip: str | None
    nas_ipv6: str | None
    framed_ip: str | None
    framed_ipv6_prefix: str | None
    calling_station: str | None
    called_station: str | None
    nas_port: int | None
    nas_port_id: str | None
    nas_port_type: int | None
    cui: bytes | None
    classes: tuple[bytes, ...]


def text(value: bytes) -> str:
    """Octets as valid UTF-8 text without NUL, which stores can keep; others become `\\xNN`."""
    try:
        decoded = value.decode()
    except UnicodeDecodeError:
        decoded = value.decode(errors="backslashreplace")
    # RFC 2865 s5 forbids a terminating NUL, some NAS send one, and Postgres takes none in text.
    return decoded.replace("\0", "\\x00") if "\0" in decoded else decoded


def identity(record: AccountingRecord) -> SessionIdentity:
    """The identity of a record's session, with everything the NAS said that may identify it."""
    raw = record.attributes
    return SessionIdentity(
        client=record.client,
        nas=record.nas,
        source_host=record.source_host,
        user_name_raw=raw.get(attr.USER_NAME),
        session_id_raw=raw.get(attr.ACCT_SESSION_ID) or b"",
        nas_identifier=raw.get(attr.NAS_IDENTIFIER),
        nas_ip=ipv4_text(raw.get(attr.NAS_IP_ADDRESS)),
        nas_ipv6=ipv6_text(raw.get(attr.NAS_IPV6_ADDRESS)),
        framed_ip=ipv4_text(raw.get(attr.FRAMED_IP_ADDRESS)),
        framed_ipv6_prefix=_ipv6_prefix(raw.get(attr.FRAMED_IPV6_PREFIX)),
        calling_station=_optional_text(raw.get(attr.CALLING_STATION_ID)),
        called_station=_optional_text(raw.get(attr.CALLED_STATION_ID)),
        nas_port=_integer(raw.get(attr.NAS_PORT)),
        nas_port_id=_optional_text(raw.get(attr.NAS_PORT_ID)),
        nas_port_type=_integer(raw.get(attr.NAS_PORT_TYPE)),
        cui=raw.get(attr.CHARGEABLE_USER_IDENTITY),
        classes=record.classes,
    )


def attributes_of(known: SessionIdentity) -> dict[int, bytes]:
    """The attributes that an identity was made of, so that `identity` makes the same of them.

    For records that are put together again from what was kept of them.
    """
    values: dict[int, bytes | None] = {
        attr.USER_NAME: known.user_name_raw,
        attr.ACCT_SESSION_ID: known.session_id_raw,
        attr.NAS_IDENTIFIER: known.nas_identifier,
        attr.NAS_IP_ADDRESS: _packed(known.nas_ip),
        attr.NAS_IPV6_ADDRESS: _packed(known.nas_ipv6),
        attr.FRAMED_IP_ADDRESS: _packed(known.framed_ip),
        attr.FRAMED_IPV6_PREFIX: _packed_prefix(known.framed_ipv6_prefix),
        attr.CALLING_STATION_ID: _encoded(known.calling_station),
        attr.CALLED_STATION_ID: _encoded(known.called_station),
        attr.NAS_PORT: _four_octets(known.nas_port),
        attr.NAS_PORT_ID: _encoded(known.nas_port_id),
        attr.NAS_PORT_TYPE: _four_octets(known.nas_port_type),
        attr.CHARGEABLE_USER_IDENTITY: known.cui,
    }
    return {kind: value for kind, value in values.items() if value is not None}


def _packed(address: str | None) -> bytes | None:
    return None if address is None else ip_address(address).packed


def _packed_prefix(prefix: str | None) -> bytes | None:
    """RFC 3162 s2.3: reserved, the length, the prefix."""
    if prefix is None:
        return None
    network = IPv6Network(prefix)
    return bytes((0, network.prefixlen)) + network.network_address.packed


def _encoded(value: str | None) -> bytes | None:
    return None if value is None else value.encode()


def _four_octets(value: int | None) -> bytes | None:
    return None if value is None else value.to_bytes(4)


def _optional_text(value: bytes | None) -> str | None:
    return None if value is None else text(value)


def _integer(value: bytes | None) -> int | None:
    return None if value is None else int.from_bytes(value)


def ipv4_text(value: bytes | None) -> str | None:
    """The text of an IPv4 address's octets."""
    return None if value is None else str(IPv4Address(value))


def ipv6_text(value: bytes | None) -> str | None:
    """The text of an IPv6 address's octets."""
    return None if value is None else str(IPv6Address(value))


def _ipv6_prefix(value: bytes | None) -> str | None:
    """RFC 3162 s2.3: octets left out at the end are zero, bits behind the prefix do not count."""
    if value is None:
        return None
    return str(IPv6Network((value[2:].ljust(16, b"\0"), value[1]), strict=False))
