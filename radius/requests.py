"""What a NAS sends and checks, by pyrad: an encoder that shares no code with our own decoder.

For the simulated NAS fleet and for tests.
"""

import secrets
from collections.abc import Mapping, Sequence
from hashlib import md5
from typing import Any, Literal, cast

import msgspec
from pyrad.packet import AcctPacket, AuthPacket, CoAPacket, PacketError

from radius.dictionary import load_dictionary
from radius.packet import Code
from radius.passwords import mschap2_response, nt_hash

Value = str | int | bytes
Attributes = Mapping[str, Value | Sequence[Value]]
"""Values by attribute name (`radius/dictionaries/dictionary.ratewire`); a list repeats it."""


class DynamicRequest(msgspec.Struct, frozen=True):
    """A Disconnect- or CoA-Request as the NAS understood it."""

    code: int
    attributes: dict[str, list[Any]]
    """Decoded values by attribute name."""
    has_unknown: bool
    """Whether there are others, which the dictionary does not know."""


def accounting_request(
    attributes: Attributes, *, secret: bytes, identifier: int, message_authenticator: bool = False
) -> bytes:
    """An Accounting-Request. Raises KeyError for an unknown name, ValueError for a bad value."""
    request = AcctPacket(id=identifier, secret=secret, dict=load_dictionary())
    if message_authenticator:
        request.add_message_authenticator()
    for name, value in attributes.items():
        request.AddAttribute(name, value)
    return request.RequestPacket()


def access_request(
    attributes: Attributes,
    *,
    secret: bytes,
    identifier: int,
    password: bytes | None = None,
    method: Literal["pap", "chap", "mschap2"] = "pap",
    message_authenticator: bool = True,
) -> bytes:
    """An Access-Request that proves a password, if one is given, for the User-Name in it."""
    request = AuthPacket(id=identifier, secret=secret, dict=load_dictionary())
    request.authenticator = secrets.token_bytes(16)
    if message_authenticator:
        request.add_message_authenticator()
    for name, value in attributes.items():
        request.AddAttribute(name, value)
    if password is None:
        return request.RequestPacket()
    user_name = attributes["User-Name"]
    assert isinstance(user_name, str)
    match method:
        case "pap":
            request.AddAttribute("User-Password", request.PwCrypt(password))
        case "chap":
            challenge = secrets.token_bytes(16)
            digest = md5(b"\7" + password + challenge, usedforsecurity=False).digest()
            request.AddAttribute("CHAP-Password", b"\7" + digest)
            request.AddAttribute("CHAP-Challenge", challenge)
        case "mschap2":
            challenge, peer_challenge = secrets.token_bytes(16), secrets.token_bytes(16)
            hashed = nt_hash(password)
            response = mschap2_response(peer_challenge, challenge, user_name.encode(), hashed)
            request.AddAttribute("MS-CHAP-Challenge", challenge)
            request.AddAttribute(
                "MS-CHAP2-Response", b"\7\0" + peer_challenge + bytes(8) + response
            )
    return request.RequestPacket()


def read_reply(request: bytes, reply: bytes, *, secret: bytes) -> dict[str, list[Any]]:
    """The attributes of an answer by name. Raises ValueError if it is not genuine.

    An answer to an Access-Request must have a right Message-Authenticator.
    """
    sent = AuthPacket(secret=secret, dict=load_dictionary(), packet=request)
    received = sent.CreateReply(packet=reply)
    if not sent.VerifyReply(received, enforce_ma=True):
        raise ValueError("the answer is not genuine")
    keys = cast(list[object], received.keys())
    return {key: list(received[key]) for key in keys if isinstance(key, str)}


def status_server(*, secret: bytes, identifier: int) -> bytes:
    """A Status-Server, for an accounting or an authentication port (RFC 5997 s3)."""
    request = AcctPacket(code=Code.STATUS_SERVER, id=identifier, secret=secret)
    return request.RequestPacket()


def verify_response(request: bytes, reply: bytes, *, secret: bytes) -> bool:
    """Whether `reply` is a genuine answer to the request that was sent as `request`."""
    try:
        sent = AuthPacket(secret=secret, dict=load_dictionary(), packet=request)
        received = sent.CreateReply(packet=reply)
    except PacketError:
        return False
    return sent.VerifyReply(received)


def read_dynamic_request(datagram: bytes, *, secret: bytes) -> DynamicRequest | None:
    """A Disconnect- or CoA-Request with a right authenticator, and Message-Authenticator if it has
    one (RFC 5176 s3.4); None for anything else, which a NAS drops.
    """
    try:
        request = CoAPacket(secret=secret, dict=load_dictionary(), packet=datagram)
    except PacketError:
        return None
    if request.code not in (Code.DISCONNECT_REQUEST, Code.COA_REQUEST):
        return None
    if not request.VerifyCoARequest():
        return None
    if request.message_authenticator and not request.verify_message_authenticator():
        return None
    keys = cast(list[object], request.keys())
    names = [key for key in keys if isinstance(key, str)]
    try:
        return DynamicRequest(
            request.code,
            {name: list(request[name]) for name in names},
            has_unknown=len(names) < len(keys),
        )
    except ValueError:  # a value whose length its type does not allow
        return None


def dynamic_reply(
    request: bytes, *, secret: bytes, ack: bool, error_cause: int | None = None
) -> bytes:
    """The ACK or NAK to a Disconnect- or CoA-Request, with an Error-Cause if one is given."""
    received = CoAPacket(secret=secret, dict=load_dictionary(), packet=request)
    reply = received.CreateReply()
    reply.code = received.code + (1 if ack else 2)
    if error_cause is not None:
        reply.AddAttribute("Error-Cause", error_cause)
    return reply.ReplyPacket()
