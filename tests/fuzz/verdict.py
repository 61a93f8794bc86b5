"""What the server has to make of a datagram, by the RFCs: a second reading, which shares no code.

It walks over the octets as plainly as can be, and is slow. Only the table of the fixed lengths of
attributes is that of the product.
"""

import hashlib
import hmac

import msgspec

from radius.attributes import FIXED_LENGTHS, IPV6_PREFIXES
from tests.fuzz.vocabulary import ACCOUNTING_REQUEST, MESSAGE_AUTHENTICATOR, STATUS_SERVER

_RECORDED = (1, 2, 3, 7, 8)
_WITHOUT_SESSION = (7, 8)

Attribute = tuple[int, bytes]


class Verdict(msgspec.Struct, frozen=True, gc=False):
    """What is to come of a datagram: `refused` says why, or else it is `acknowledged` or `status`
    (answered at once), or a `request`.
    """

    outcome: str
    """A reason to drop it, or one of REQUEST, ACKNOWLEDGED, STATUS."""
    packet: bytes = b""
    """Its octets without padding, if its authenticator is right."""
    attributes: tuple[Attribute, ...] = ()
    """All of them, in order, of what is not dropped."""


REQUEST, ACKNOWLEDGED, STATUS = "request", "acknowledged", "status"


def authentic(octets: bytes, secret: bytes) -> bytes | None:
    """The Accounting-Request in a datagram, if it is one and was signed with the secret."""
    length = int.from_bytes(octets[2:4])
    if len(octets) < 20 or not 20 <= length <= min(len(octets), 4095):
        return None
    packet = octets[:length]
    digest = hashlib.md5(packet[:4] + bytes(16) + packet[20:] + secret, usedforsecurity=False)
    return packet if packet[0] == ACCOUNTING_REQUEST and digest.digest() == packet[4:20] else None


def judge(octets: bytes, secret: bytes | None) -> Verdict:
    """The verdict on a datagram that is no retransmission, on the accounting port.

    `secret` is that of the client whose address it comes from, None if there is no such client.
    """
    if secret is None:
        return Verdict("unknown_client")
    length = int.from_bytes(octets[2:4])
    if len(octets) < 20 or not 20 <= length <= len(octets):
        return Verdict("malformed")
    packet, code = octets[:length], octets[0]
    if length > (4095 if code in (4, 5) else 4096):
        return Verdict("malformed")
    if code == STATUS_SERVER:
        return _judge_status(packet, secret)
    if code != ACCOUNTING_REQUEST:
        return Verdict("unsupported_code")
    if authentic(octets, secret) is None:
        return Verdict("bad_authenticator")
    return _judge_accounting(packet, secret)


def _judge_status(packet: bytes, secret: bytes) -> Verdict:
    found = walk(packet)
    if isinstance(found, str):
        return Verdict(found)
    if not _has_right_hmac(packet, found, packet[4:20], secret):
        return Verdict("bad_message_authenticator")
    return Verdict(STATUS, packet, tuple(found))


def _judge_accounting(packet: bytes, secret: bytes) -> Verdict:
    found = walk(packet)
    if isinstance(found, str):
        return Verdict(found, packet)
    first = dict(reversed(found))
    if MESSAGE_AUTHENTICATOR in first and not _has_right_hmac(packet, found, bytes(16), secret):
        return Verdict("bad_message_authenticator", packet)
    if 40 not in first:
        return Verdict("refused_acct_status_type_missing", packet)
    status = int.from_bytes(first[40])
    if status not in _RECORDED:
        return Verdict(ACKNOWLEDGED, packet, tuple(found))
    if not first.get(44) and status not in _WITHOUT_SESSION:
        return Verdict("refused_acct_session_id_missing", packet)
    return Verdict(REQUEST, packet, tuple(found))


def walk(packet: bytes) -> list[Attribute] | str:
    """The attributes of a packet in order, or the reason why it is to be dropped."""
    found: list[Attribute] = []
    rest = packet[20:]
    while rest:
        if len(rest) < 2 or rest[1] < 2:
            return "malformed"
        kind, value = rest[0], rest[2 : rest[1]]
        if kind in FIXED_LENGTHS and rest[1] - 2 != FIXED_LENGTHS[kind][1]:
            return _refused(FIXED_LENGTHS[kind][0])
        if kind in IPV6_PREFIXES and not (2 <= len(value) <= 18 and value[1] <= 128):
            return _refused(IPV6_PREFIXES[kind])
        if len(rest) < rest[1]:
            return "malformed"
        found.append((kind, value))
        rest = rest[rest[1] :]
    return found


def _refused(name: str) -> str:
    return f"refused_{name.lower().replace('-', '_')}_length"


def _has_right_hmac(
    packet: bytes, attributes: list[Attribute], authenticator: bytes, secret: bytes
) -> bool:
    """Whether there is one Message-Authenticator, and it is right (RFC 3579 section 3.2)."""
    values = [value for kind, value in attributes if kind == MESSAGE_AUTHENTICATOR]
    if len(values) != 1:
        return False
    blank = b"".join(
        bytes((kind, len(value) + 2)) + (bytes(16) if kind == MESSAGE_AUTHENTICATOR else value)
        for kind, value in attributes
    )
    expected = hmac.new(secret, packet[:4] + authenticator + blank, "md5").digest()
    return values[0] == expected
