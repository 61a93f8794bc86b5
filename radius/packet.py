"""RADIUS packets as octets: frame, verify, split, and the octets of a reply.

A datagram is taken apart in three steps, so that nothing is believed before it is authentic:
`frame` checks the header and cuts padding off, a `verify_*` function checks what the sender signed,
`split` separates the attributes. The functions after `frame` take what `frame` returned.

Nothing here raises on account of what a datagram contains: faults are values, and verification is
True or False. Values stay raw octets; what they mean is the part of `radius.decode`.
"""

import hashlib
import hmac
from collections.abc import Iterable
from enum import IntEnum

import msgspec

from radius.attributes import (
    FIXED_LENGTHS,
    IPV6_PREFIXES,
    MESSAGE_AUTHENTICATOR,
    PROXY_STATE,
)

HEADER_OCTETS = 20
# RFC 2866 s3 allows 4095 octets for accounting, RFC 2865 s3 and RFC 5176 s2.3 allow 4096.
MAX_ACCOUNTING_OCTETS = 4095
MAX_OCTETS = 4096
MAX_VALUE_OCTETS = 253

ZERO_AUTHENTICATOR = bytes(16)


class Code(IntEnum):
    """Packet codes (RFC 2865 s3, RFC 2866 s3, RFC 5997 s3, RFC 5176 s2.3)."""

    ACCESS_REQUEST = 1
    ACCESS_ACCEPT = 2
    ACCESS_REJECT = 3
    ACCOUNTING_REQUEST = 4
    ACCOUNTING_RESPONSE = 5
    ACCESS_CHALLENGE = 11
    STATUS_SERVER = 12
    DISCONNECT_REQUEST = 40
    DISCONNECT_ACK = 41
    DISCONNECT_NAK = 42
    COA_REQUEST = 43
    COA_ACK = 44
    COA_NAK = 45


class Fault(msgspec.Struct, frozen=True):
    """Why octets are not a packet, or a packet not a record. The packet is discarded whole."""

    reason: str
    """From a closed set, fit to name a counter: `malformed`, or `refused_` with an attribute."""
    detail: str
    """What is wrong, where, and what is allowed."""


class Packet(msgspec.Struct, frozen=True, gc=False):
    """One structurally valid packet: its octets, and where in them each value begins.

    Values are cut out when they are asked for; most never are. Attributes in
    `radius.attributes.FIXED_LENGTHS` have that length, IPv6 prefixes are well formed.
    """

    octets: bytes
    offsets: dict[int, int]
    """By attribute type, where the value of its first occurrence begins, in order of appearance."""
    repeats: tuple[tuple[int, int], ...]
    """The same for each further occurrence."""

    @property
    def code(self) -> int:
        return self.octets[0]

    @property
    def identifier(self) -> int:
        return self.octets[1]

    @property
    def authenticator(self) -> bytes:
        return self.octets[4:20]

    @property
    def attributes(self) -> dict[int, bytes]:
        """The first value of every attribute type, in order of appearance. Made anew each time."""
        return {kind: self._value_at(start) for kind, start in self.offsets.items()}

    def get(self, kind: int, /) -> bytes | None:
        """The first value of an attribute type, None when it is absent."""
        start = self.offsets.get(kind)
        if start is None:
            return None
        octets = self.octets
        # The octet before a value is the length of the attribute, two more than that of the value.
        return octets[start : start + octets[start - 1] - 2]

    def values(self, kind: int) -> tuple[bytes, ...]:
        """All values of one attribute type, in the order in which they came."""
        first = self.offsets.get(kind)
        if first is None:
            return ()
        if not self.repeats:
            return (self._value_at(first),)
        starts = (first, *(start for other, start in self.repeats if other == kind))
        return tuple(self._value_at(start) for start in starts)

    def _value_at(self, start: int) -> bytes:
        return self.octets[start : start + self.octets[start - 1] - 2]


def frame(datagram: bytes) -> bytes | Fault:
    """The octets of the packet inside a datagram: those that its Length field covers.

    Octets beyond Length are padding and are cut off (RFC 2865 s3). What is returned has at least a
    whole header and as many octets as its Length says; its attributes are still unchecked.
    """
    if len(datagram) < HEADER_OCTETS:
        return Fault("malformed", f"datagram of {len(datagram)} octets; a header alone has 20")
    length = int.from_bytes(datagram[2:4])
    if len(datagram) == length <= MAX_ACCOUNTING_OCTETS:
        return datagram
    code = datagram[0]
    accounting = code == Code.ACCOUNTING_REQUEST or code == Code.ACCOUNTING_RESPONSE
    longest = MAX_ACCOUNTING_OCTETS if accounting else MAX_OCTETS
    if not HEADER_OCTETS <= length <= longest:
        return Fault("malformed", f"Length {length} in code {code}; allowed are 20 to {longest}")
    if len(datagram) < length:
        return Fault("malformed", f"datagram of {len(datagram)} octets, but Length is {length}")
    return datagram[:length]


def split(octets: bytes) -> Packet | Fault:
    """Separate the attributes of a framed packet, or say what is wrong with one of them.

    One bad attribute discards the whole packet (RFC 2866 s5, RFC 2865 s5): a length below 2, an end
    beyond the packet, a standard attribute whose length is not what its type allows.
    """
    allowed_sizes = _ALLOWED_SIZES
    offsets: dict[int, int] = {}
    repeats: list[tuple[int, int]] = []
    offset, length = HEADER_OCTETS, len(octets)
    # Each turn reads a type and a length octet, so both must lie within the packet.
    last_header = length - 1
    while offset < last_header:
        kind = octets[offset]
        size = octets[offset + 1]
        allowed = allowed_sizes[kind]
        if size < 2 or (allowed and size != allowed):
            fault = _attribute_fault(octets, offset)
            if fault is not None:
                return fault
        if kind in offsets:
            repeats.append((kind, offset + 2))
        else:
            offsets[kind] = offset + 2
        offset += size
    # The last attribute ends where the packet ends, or it overruns it (or is a lone octet).
    if offset != length:
        return Fault("malformed", f"last attribute ends at octet {offset} of {length}")
    return Packet(octets, offsets, tuple(repeats))


def parse(datagram: bytes) -> Packet | Fault:
    """`frame` and `split` in one, for packets whose authenticity is not in question."""
    octets = frame(datagram)
    return octets if isinstance(octets, Fault) else split(octets)


_ANY_SIZE = 0
_EXAMINE = 1  # no attribute has this size, so it never passes unseen
# By attribute type: the one allowed size including type and length octets, or one of the above.
_ALLOWED_SIZES = tuple(
    FIXED_LENGTHS[kind][1] + 2
    if kind in FIXED_LENGTHS
    else (_EXAMINE if kind in IPV6_PREFIXES else _ANY_SIZE)
    for kind in range(256)
)


def _attribute_fault(octets: bytes, offset: int) -> Fault | None:
    """What is wrong with the attribute at `offset`; None for a well-formed IPv6 prefix."""
    kind, size = octets[offset], octets[offset + 1]
    where = f"attribute {kind} at octet {offset}"
    if size < 2:
        return Fault("malformed", f"{where} has length {size}; allowed are 2 to 255")
    value = octets[offset + 2 : offset + size]
    if kind in IPV6_PREFIXES:
        name, allowed = IPV6_PREFIXES[kind], "2 to 18 octets with a prefix of 0 to 128 bits"
        if 2 <= len(value) <= 18 and value[1] <= 128:
            return None
    else:
        name, octets_allowed = FIXED_LENGTHS[kind]
        allowed = f"{octets_allowed} octets"
    return refusal(name, "length", f"{where} has {len(value)} octets", allowed)


def refusal(attribute: str, what: str, found: str, allowed: str) -> Fault:
    """The fault of one attribute that is there but impossible, or that is missing."""
    reason = f"refused_{attribute.lower().replace('-', '_')}_{what}"
    return Fault(reason, f"{attribute}: {found}; allowed is {allowed}")


# Copying a fresh hash is cheaper than asking the library to look MD5 up again. MD5 is what the
# protocol prescribes, which is not a use for security's sake in the library's sense.
_MD5 = hashlib.md5(usedforsecurity=False)


def _md5(octets: bytes) -> bytes:
    digest = _MD5.copy()
    digest.update(octets)
    return digest.digest()


def verify_accounting(octets: bytes, secret: bytes) -> bool:
    """Whether the Request Authenticator of an Accounting-, CoA- or Disconnect-Request is right.

    RFC 2866 s3, RFC 5176 s2.3: MD5 over the packet with sixteen zero octets in place of the
    authenticator, then the secret.
    """
    expected = _md5(octets[:4] + ZERO_AUTHENTICATOR + octets[20:] + secret)
    return hmac.compare_digest(expected, octets[4:20])


def verify_response(octets: bytes, request_authenticator: bytes, secret: bytes) -> bool:
    """Whether the Response Authenticator of a reply is right (RFC 2865 s3).

    MD5 over the reply with the authenticator of the request in place of its own, then the secret.
    """
    expected = _md5(octets[:4] + request_authenticator + octets[20:] + secret)
    return hmac.compare_digest(expected, octets[4:20])


def verify_message_authenticator(octets: bytes, secret: bytes, authenticator: bytes) -> bool:
    """Whether the packet holds exactly one Message-Authenticator (80) and it is right.

    `authenticator` is what stands in the header while the HMAC is taken: sixteen zero octets for
    Accounting-, CoA- and Disconnect-Requests (RFC 5176 s3.4), the packet's own authenticator for
    Access-Request and Status-Server (RFC 3579 s3.2, RFC 5997 s3), the request's for a reply.
    False when the attribute is missing, comes twice or has not 16 octets: the HMAC is defined for
    exactly one.
    """
    found = _message_authenticator_offset(octets)
    if found is None:
        return False
    start, end = found + 2, found + 18
    blanked = octets[:4] + authenticator + octets[20:start] + ZERO_AUTHENTICATOR + octets[end:]
    return hmac.compare_digest(hmac.digest(secret, blanked, "md5"), octets[start:end])


def _message_authenticator_offset(octets: bytes) -> int | None:
    """Where the one well-formed Message-Authenticator begins; None if there is not exactly one."""
    found: int | None = None
    offset, length = HEADER_OCTETS, len(octets)
    while offset + 2 <= length:
        size = octets[offset + 1]
        if size < 2 or offset + size > length:
            return None
        if octets[offset] == MESSAGE_AUTHENTICATOR:
            if found is not None or size != 18:
                return None
            found = offset
        offset += size
    return found


def attribute(kind: int, value: bytes) -> bytes:
    """The octets of one attribute. The value has at most 253 octets."""
    assert len(value) <= MAX_VALUE_OCTETS, f"attribute {kind}: {len(value)} octets, 253 allowed"
    return bytes((kind, len(value) + 2)) + value


def accounting_response(
    identifier: int,
    request_authenticator: bytes,
    proxy_states: Iterable[bytes],
    secret: bytes,
    attributes: Iterable[tuple[int, bytes]] = (),
) -> bytes:
    """An Accounting-Response: the Proxy-States of the request, in order, unmodified.

    RFC 2866 s4.2 and s5.13 allow no other standard attribute. Some NAS take `attributes` there.
    """
    octets = b"".join(attribute(PROXY_STATE, state) for state in proxy_states)
    octets += b"".join(attribute(kind, value) for kind, value in attributes)
    return _sign(Code.ACCOUNTING_RESPONSE, identifier, request_authenticator, octets, secret)


def status_response(
    code: int, identifier: int, request_authenticator: bytes, secret: bytes
) -> bytes:
    """The reply to a Status-Server: nothing but a Message-Authenticator (RFC 5997 s3 and s4.2).

    `code` is 5 on an accounting port and 2 on an authentication port. The HMAC is taken over the
    authenticator of the request, for code 5 too.
    """
    return signed_response(code, identifier, request_authenticator, b"", secret)


def signed_response(
    code: int, identifier: int, request_authenticator: bytes, attributes: bytes, secret: bytes
) -> bytes:
    """A reply with a Message-Authenticator before its attributes (RFC 3579 s3.2).

    The HMAC is taken over the authenticator of the request.
    """
    length = HEADER_OCTETS + 18 + len(attributes)
    assert length <= MAX_OCTETS, f"{length} octets of reply, {MAX_OCTETS} allowed"
    head = bytes((code, identifier)) + length.to_bytes(2)
    blank = attribute(MESSAGE_AUTHENTICATOR, ZERO_AUTHENTICATOR)
    signed = hmac.digest(secret, head + request_authenticator + blank + attributes, "md5")
    octets = attribute(MESSAGE_AUTHENTICATOR, signed) + attributes
    return _sign(code, identifier, request_authenticator, octets, secret)


def _sign(
    code: int, identifier: int, request_authenticator: bytes, attributes: bytes, secret: bytes
) -> bytes:
    """A reply with its Response Authenticator (RFC 2865 s3)."""
    head = bytes((code, identifier)) + (HEADER_OCTETS + len(attributes)).to_bytes(2)
    authenticator = _md5(head + request_authenticator + attributes + secret)
    return head + authenticator + attributes
