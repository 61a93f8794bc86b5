"""The CoA port of a NAS, by the RFCs and hashlib alone: it shares no code with what it judges."""

import hashlib
import hmac
import socket
import struct
import time
from typing import Final

import msgspec

DISCONNECT_REQUEST, DISCONNECT_ACK = 40, 41
USER_NAME, ACCT_SESSION_ID, EVENT_TIMESTAMP, MESSAGE_AUTHENTICATOR = 1, 44, 55, 80

_SIGNING: Final = (EVENT_TIMESTAMP, MESSAGE_AUTHENTICATOR)

#: RFC 5176, section 6.3.
WINDOW_S: Final = 300


class DisconnectRequest(msgspec.Struct, frozen=True):
    """A Disconnect-Request that verified, when it came (Unix seconds) and from where."""

    octets: bytes
    source: tuple[str, int]
    at: float
    attributes: tuple[tuple[int, bytes], ...]

    @property
    def identification(self) -> dict[int, bytes]:
        """What it carries besides its Event-Timestamp and its Message-Authenticator."""
        found = dict(self.attributes)
        assert len(found) == len(self.attributes), "an attribute comes twice"
        return {kind: found[kind] for kind in found if kind not in _SIGNING}

    @property
    def session_id(self) -> str:
        """The Acct-Session-Id that it names."""
        return self.identification[ACCT_SESSION_ID].decode()


class CoaPort:
    """Listens on a NAS's address; every datagram must be a right Disconnect-Request."""

    def __init__(self, address: str, port: int, secret: bytes) -> None:
        self._secret = secret
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((address, port))

    def __enter__(self) -> "CoaPort":
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def receive(self, seconds: float) -> DisconnectRequest | None:
        """The next Disconnect-Request; None if none comes in time.

        AssertionError for anything that a NAS would drop (RFC 5176, sections 2.3, 3.4, 6.3).
        """
        self._socket.settimeout(seconds)
        try:
            octets, source = self._socket.recvfrom(4096)
        except TimeoutError:
            return None
        at = time.time()
        code, _, length = struct.unpack_from("!BBH", octets)
        assert code == DISCONNECT_REQUEST
        assert length == len(octets)
        head, authenticator, body = octets[:4], octets[4:20], octets[20:]
        assert hashlib.md5(head + bytes(16) + body + self._secret).digest() == authenticator
        attributes = _split(body)
        values = dict(attributes)
        # Computed with a zero authenticator, and itself zero.
        signed = head + bytes(16) + _with_zero_signature(attributes)
        signature = hmac.digest(self._secret, signed, "md5")
        assert values[MESSAGE_AUTHENTICATOR] == signature
        assert abs(int.from_bytes(values[EVENT_TIMESTAMP]) - at) < WINDOW_S
        return DisconnectRequest(octets, source, at, attributes)

    def pass_over(self) -> None:
        """Take no notice of what has come in until now."""
        while self.receive(0.001) is not None:
            pass

    def acknowledge(self, request: DisconnectRequest) -> None:
        """Answer with a Disconnect-ACK, which has no attributes here."""
        head = struct.pack("!BBH", DISCONNECT_ACK, request.octets[1], 20)
        signed = head + request.octets[4:20] + self._secret
        self._socket.sendto(head + hashlib.md5(signed).digest(), request.source)


def _split(body: bytes) -> tuple[tuple[int, bytes], ...]:
    attributes: list[tuple[int, bytes]] = []
    while body:
        kind, length = body[0], body[1]
        assert 3 <= length <= len(body)
        attributes.append((kind, body[2:length]))
        body = body[length:]
    return tuple(attributes)


def _with_zero_signature(attributes: tuple[tuple[int, bytes], ...]) -> bytes:
    return b"".join(
        bytes((kind, len(value) + 2)) + (bytes(16) if kind == MESSAGE_AUTHENTICATOR else value)
        for kind, value in attributes
    )
