"""The authentication port without its sockets: datagrams in at `now`, logins and answers out."""

from collections import Counter
from collections.abc import Sequence

import msgspec

from radius import packet
from radius.access import Answer, Login, answer_octets, decode_login
from radius.attributes import MESSAGE_AUTHENTICATOR, PROXY_STATE
from radius.clients import Client, ClientTable
from radius.duplicates import Duplicate, Key, ReplyCache
from radius.engine import (
    BAD_MESSAGE_AUTHENTICATOR,
    DUPLICATE_IN_FLIGHT,
    UNKNOWN_CLIENT,
    UNSUPPORTED_CODE,
    Address,
    Intake,
    PortKind,
    answer_status,
)
from radius.packet import Code, Fault


class AccessRequest(msgspec.Struct, gc=False):
    """One Access-Request that waits for `AccessEngine.answer` or `abandon`.

    Whoever decides puts the `answer` in.
    """

    login: Login
    client: Client
    address: Address
    answer: Answer | None = None

    @property
    def key(self) -> Key:
        """The key under which the reply cache knows this request."""
        return (self.address[0], self.address[1], self.login.attributes.identifier)


class AccessEngine:
    """One authentication port. Counts as `radius.engine.Engine` does, and besides:

    `unsigned`: no Message-Authenticator from a client whose profile or setting says that it sends
    one; `unsigned_proxy_state`: none, and yet Proxy-State, with which an answer can be forged
    (CVE-2024-3596), from any client.
    """

    port_kind = PortKind.AUTHENTICATION

    def __init__(
        self,
        clients: ClientTable,
        *,
        reply_lifetime_ms: int = 30_000,
        reply_capacity: int = 16_384,
    ) -> None:
        self.drops: Counter[str] = Counter()
        self.answers: Counter[str] = Counter()
        self._clients = clients
        self._cache = ReplyCache(lifetime_ms=reply_lifetime_ms, capacity=reply_capacity)

    def replace_clients(self, clients: ClientTable) -> None:
        """Use another client table from the next datagram on."""
        self._clients = clients

    @property
    def requests_remembered(self) -> int:
        """How many requests and answers the reply cache holds."""
        return len(self._cache)

    def receive(
        self, datagrams: Sequence[tuple[bytes, Address]], now_ms: int
    ) -> Intake[AccessRequest]:
        """Take datagrams that arrived at `now_ms`; nothing that they contain makes this raise."""
        intake = Intake[AccessRequest]([], [], [])
        for datagram, address in datagrams:
            client = self._clients.find(address[0])
            outcome = (
                UNKNOWN_CLIENT if client is None else self.take(datagram, client, address, now_ms)
            )
            if isinstance(outcome, AccessRequest):
                intake.requests.append(outcome)
            elif isinstance(outcome, bytes):
                intake.replies.append((outcome, address))
            else:
                self.drops[outcome.reason] += 1
                intake.faults.append((outcome, address))
        return intake

    def take(
        self, datagram: bytes, client: Client, address: Address, now_ms: int
    ) -> AccessRequest | bytes | Fault:
        """What one datagram of a client is: a request, something answered at once, or a fault."""
        octets = packet.frame(datagram)
        if isinstance(octets, Fault):
            return octets
        if octets[0] == Code.STATUS_SERVER:
            reply = answer_status(octets, client.secret, Code.ACCESS_ACCEPT)
            self.answers["status_server"] += isinstance(reply, bytes)
            return reply
        if octets[0] != Code.ACCESS_REQUEST:
            return UNSUPPORTED_CODE
        parsed = packet.split(octets)
        if isinstance(parsed, Fault):
            return parsed
        fault = _signature_fault(parsed, client)
        if fault is not None:
            return fault
        key = (address[0], address[1], parsed.identifier)
        known = self._cache.find(key, parsed.authenticator, now_ms)
        if known is not None:
            if known is Duplicate.IN_FLIGHT:
                return DUPLICATE_IN_FLIGHT
            self.answers["duplicate"] += 1
            return known
        login = decode_login(parsed, client, address[0], now_ms)
        if isinstance(login, Fault):
            return login
        self._cache.begin(key, parsed.authenticator)
        return AccessRequest(login, client, address)

    def answer(self, request: AccessRequest, now_ms: int) -> tuple[bytes, Address]:
        """The octets of a request's answer, and where they go; duplicates get the same."""
        assert request.answer is not None, "somebody decided"
        parsed = request.login.attributes
        reply = answer_octets(
            request.answer,
            identifier=parsed.identifier,
            authenticator=parsed.authenticator,
            request=parsed,
            secret=request.client.secret,
        )
        self._cache.finish(request.key, parsed.authenticator, reply, now_ms)
        self.answers["accept" if request.answer.accepted else "reject"] += 1
        return reply, request.address

    def abandon(self, request: AccessRequest) -> None:
        """Give a request up without an answer: its retransmission will be a new request."""
        self._cache.release(request.key, request.login.attributes.authenticator)


def _signature_fault(parsed: packet.Packet, client: Client) -> Fault | None:
    """What is wrong with a request's Message-Authenticator, or with having none."""
    if MESSAGE_AUTHENTICATOR in parsed.offsets:
        genuine = packet.verify_message_authenticator(
            parsed.octets, client.secret, parsed.authenticator
        )
        return None if genuine else BAD_MESSAGE_AUTHENTICATOR
    if client.signs_logins:
        return _UNSIGNED
    return _UNSIGNED_PROXY_STATE if PROXY_STATE in parsed.offsets else None


_UNSIGNED = Fault(
    "unsigned",
    "Access-Request without Message-Authenticator; a NAS that sends none: nas add "
    "--message-authenticator optional",
)
_UNSIGNED_PROXY_STATE = Fault(
    "unsigned_proxy_state", "Access-Request with Proxy-State and without Message-Authenticator"
)
