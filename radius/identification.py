"""Which attributes can identify a session to its NAS, and their values for a given session.

RFC 5176 s3 lists the attributes; these are the ones that a session's identity keeps.
"""

from collections.abc import Callable, Sequence
from ipaddress import IPv4Address, IPv6Address, IPv6Network
from typing import Final

from radius import attributes as attr
from radius.packet import MAX_VALUE_OCTETS
from radius.records import SessionIdentity

Attributes = tuple[tuple[int, bytes], ...]
"""Attribute types with their raw values, in the order in which they are sent."""


def _ipv4(address: str | None) -> bytes | None:
    return None if address is None else IPv4Address(address).packed


def _ipv6(address: str | None) -> bytes | None:
    return None if address is None else IPv6Address(address).packed


def _ipv6_prefix(prefix: str | None) -> bytes | None:
    if prefix is None:
        return None
    parsed = IPv6Network(prefix)
    return bytes((0, parsed.prefixlen)) + parsed.network_address.packed


def _text(value: str | None) -> bytes | None:
    """Octets of a text; None also for one that escaped octets have made longer than it came."""
    octets = b"" if value is None else value.encode()
    return octets if 0 < len(octets) <= MAX_VALUE_OCTETS else None


def _integer(value: int | None) -> bytes | None:
    return None if value is None else value.to_bytes(4)


# Name in profiles -> attribute type, and its raw value, or None where the NAS never sent it.
_SOURCES: Final[dict[str, tuple[int, Callable[[SessionIdentity], bytes | None]]]] = {
    "User-Name": (attr.USER_NAME, lambda session: session.user_name_raw),
    "Acct-Session-Id": (attr.ACCT_SESSION_ID, lambda session: session.session_id_raw),
    "Chargeable-User-Identity": (attr.CHARGEABLE_USER_IDENTITY, lambda session: session.cui),
    "Framed-IP-Address": (attr.FRAMED_IP_ADDRESS, lambda session: _ipv4(session.framed_ip)),
    "Framed-IPv6-Prefix": (
        attr.FRAMED_IPV6_PREFIX,
        lambda session: _ipv6_prefix(session.framed_ipv6_prefix),
    ),
    "Calling-Station-Id": (
        attr.CALLING_STATION_ID,
        lambda session: _text(session.calling_station),
    ),
    "Called-Station-Id": (attr.CALLED_STATION_ID, lambda session: _text(session.called_station)),
    "NAS-Port": (attr.NAS_PORT, lambda session: _integer(session.nas_port)),
    "NAS-Port-Id": (attr.NAS_PORT_ID, lambda session: _text(session.nas_port_id)),
    "NAS-IP-Address": (attr.NAS_IP_ADDRESS, lambda session: _ipv4(session.nas_ip)),
    "NAS-IPv6-Address": (attr.NAS_IPV6_ADDRESS, lambda session: _ipv6(session.nas_ipv6)),
    "NAS-Identifier": (attr.NAS_IDENTIFIER, lambda session: session.nas_identifier),
}

NAMES: Final = frozenset(_SOURCES)
"""The attribute names that a profile may use to identify a session."""

NAS_ATTRIBUTE_NAMES: Final = frozenset(("NAS-IP-Address", "NAS-IPv6-Address", "NAS-Identifier"))
"""Those of them that name the NAS rather than a session on it (RFC 5176 s3)."""

NAS_ATTRIBUTES: Final = frozenset(_SOURCES[name][0] for name in NAS_ATTRIBUTE_NAMES)
"""The types of `NAS_ATTRIBUTE_NAMES`."""


def identification_sets(
    session: SessionIdentity, names: Sequence[Sequence[str]]
) -> tuple[Attributes, ...]:
    """What can be sent to identify this session, in the order of a profile's alternatives.

    An alternative that lacks the value of a session attribute is left out, never shortened: User-
    Name without the address beside it would fit, and end, every session of that user. Attributes
    of the NAS are sent if it sent them (RFC 5176 s3 lets a NAS refuse others). Alternatives that
    come out equal are kept once. Empty when nothing identifies the session.
    """
    sets: list[Attributes] = []
    for alternative in names:
        chosen: list[tuple[int, bytes]] = []
        for name in alternative:
            kind, value_of = _SOURCES[name]
            value = value_of(session)
            if value:
                chosen.append((kind, value))
            elif kind not in NAS_ATTRIBUTES:
                break
        else:
            if tuple(chosen) not in sets:
                sets.append(tuple(chosen))
    return tuple(sets)
