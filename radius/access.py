"""From a verified packet to a login, and from what was decided to the octets of its answer."""

import re
import secrets
from collections.abc import Callable
from enum import Enum

import msgspec

from radius import attributes as attr
from radius import packet
from radius.clients import Client
from radius.decode import nas_of
from radius.encoding import Attribute, encode, vendor_values
from radius.packet import Code, Fault, Packet, refusal
from radius.passwords import (
    CHAP_PASSWORD_OCTETS,
    Chap,
    MsChap2Success,
    Pap,
    Proof,
    hide_key,
    mschap2_of,
    reveal,
)
from radius.records import text

_MICROSOFT = 311
_MS_CHAP_CHALLENGE, _MS_CHAP2_RESPONSE = 11, 25
_CALL_CHECK = 10  # Service-Type (RFC 2865 section 5.6)


class Unproven(Enum):
    """A request without a proof that could be checked here."""

    EAP = "eap"
    NOTHING = "nothing"
    UNREADABLE = "unreadable"


class Login(msgspec.Struct, frozen=True, gc=False):
    """What one Access-Request asks.

    Texts are as in `radius.records.AccountingRecord`, so that a login and its accounting agree.
    """

    user_name: str
    user_name_raw: bytes
    proof: Proof | Unproven
    call_check: bool
    """Whether the NAS asks about the caller alone, as by MAC address."""
    client: str
    nas: str
    """Scope key of the NAS, as in accounting."""
    session_id: str
    """Acct-Session-Id; empty where the NAS has none yet."""
    station: str
    """Calling-Station-Id; empty if it names none."""
    arrived_ms: int
    attributes: Packet


class Answer(msgspec.Struct, frozen=True):
    """What a login is answered with: attributes in order, and MS-CHAPv2's proof and keys."""

    accepted: bool
    attributes: tuple[Attribute, ...] = ()
    mschap2: MsChap2Success | None = None


def decode_login(
    parsed: Packet, client: Client, source_host: str, arrived_ms: int, *, revealed: bool = False
) -> Login | Fault:
    """The login that an Access-Request holds. The packet's signature must have been looked at.

    `revealed` tells that User-Password is the password itself, since a proxy has undone its hiding.
    """
    user_name = parsed.get(attr.USER_NAME)
    if not user_name:
        return refusal("User-Name", "missing", "none in the packet, or empty", "one")
    session_id = parsed.get(attr.ACCT_SESSION_ID)
    station = parsed.get(attr.CALLING_STATION_ID)
    service_type = parsed.get(attr.SERVICE_TYPE)
    return Login(
        text(user_name),
        user_name,
        _proof(parsed, None if revealed else client.secret),
        service_type is not None and int.from_bytes(service_type) == _CALL_CHECK,
        client.name,
        f"{client.name}/{nas_of(parsed) or source_host}",
        text(session_id) if session_id else "",
        text(station) if station else "",
        arrived_ms,
        parsed,
    )


def _proof(parsed: Packet, secret: bytes | None) -> Proof | Unproven:
    if attr.EAP_MESSAGE in parsed.offsets:
        return Unproven.EAP
    specific = parsed.values(attr.VENDOR_SPECIFIC)
    responses = vendor_values(specific, _MICROSOFT, _MS_CHAP2_RESPONSE)
    if responses:
        challenges = vendor_values(specific, _MICROSOFT, _MS_CHAP_CHALLENGE)
        return (mschap2_of(responses[0], challenges[0]) if challenges else None) or (
            Unproven.UNREADABLE
        )
    chap = parsed.get(attr.CHAP_PASSWORD)
    if chap is not None:
        if len(chap) != CHAP_PASSWORD_OCTETS:
            return Unproven.UNREADABLE
        # RFC 2865 section 5.3: without a CHAP-Challenge the authenticator is the challenge.
        challenge = parsed.get(attr.CHAP_CHALLENGE) or parsed.authenticator
        return Chap(chap[0], chap[1:], challenge)
    hidden = parsed.get(attr.USER_PASSWORD)
    if hidden is None:
        return Unproven.NOTHING
    if secret is None:
        return Pap(hidden)
    password = reveal(hidden, secret, parsed.authenticator)
    return Unproven.UNREADABLE if password is None else Pap(password)


_NOT_HEX = re.compile(r"[-:.]")
_MAC = re.compile(r"[0-9a-f]{12}")


def mac_of(station: str) -> str | None:
    """The MAC address that a text is, as twelve small hex digits; None if it is none.

    NASes write one with colons, hyphens, dots or nothing between, in either case; some put an SSID
    behind it, as RFC 3580 section 3.20 has it for Called-Station-Id.
    """
    digits = _NOT_HEX.sub("", station.lower())
    return digits if _MAC.fullmatch(digits) else None


def answer_octets(
    answer: Answer,
    *,
    identifier: int,
    authenticator: bytes,
    request: Packet,
    secret: bytes,
    salt: Callable[[], int] = lambda: secrets.randbits(15),
) -> bytes:
    """The Access-Accept or -Reject to a request: Message-Authenticator first, Proxy-States last.

    The first place keeps a forged answer from being completed (CVE-2024-3596).
    """
    attributes = list(answer.attributes)
    if answer.mschap2 is not None:
        success = answer.mschap2
        first = salt()
        attributes += [
            encode("MS-CHAP2-Success", success.success),
            encode("MS-MPPE-Send-Key", hide_key(success.send_key, secret, authenticator, first)),
            encode(
                "MS-MPPE-Recv-Key", hide_key(success.receive_key, secret, authenticator, first ^ 1)
            ),
            encode("MS-MPPE-Encryption-Policy", 1),
            encode("MS-MPPE-Encryption-Types", 6),
        ]
    eap = request.get(attr.EAP_MESSAGE)
    if eap is not None and len(eap) >= 2:
        # RFC 3579 section 2.6.3: EAP-Failure, under the identifier of what is answered.
        attributes.append((attr.EAP_MESSAGE, bytes((4, eap[1], 0, 4))))
    attributes += [(attr.PROXY_STATE, state) for state in request.values(attr.PROXY_STATE)]
    return packet.signed_response(
        Code.ACCESS_ACCEPT if answer.accepted else Code.ACCESS_REJECT,
        identifier,
        authenticator,
        b"".join(packet.attribute(kind, value) for kind, value in attributes),
        secret,
    )
