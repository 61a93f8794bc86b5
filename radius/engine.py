"""The accounting server without its sockets: datagrams in at `now`, requests and replies out.

The engine verifies, recognises retransmissions, decodes, and answers what needs nobody else
(Status-Server, status types that concern no session). Everything else becomes a `Request` that its
owner either answers, once its effect is durable (RFC 2866 s2), or abandons.
"""

from collections import Counter
from collections.abc import Sequence
from enum import Enum
from typing import Generic, TypeVar

import msgspec

from radius import packet
from radius.attributes import MESSAGE_AUTHENTICATOR, PROXY_STATE
from radius.clients import Client, ClientTable
from radius.decode import IgnoredStatus, decode
from radius.duplicates import Duplicate, Key, ReplyCache
from radius.packet import Code, Fault
from radius.records import AccountingRecord

Address = tuple[str, int, *tuple[object, ...]]
"""Host and port, and whatever else the caller needs to send a reply there."""


class PortKind(Enum):
    """What a port serves, which decides the packet codes it takes and gives."""

    ACCOUNTING = "acct"
    AUTHENTICATION = "auth"


class Request(msgspec.Struct, gc=False):
    """One verified Accounting-Request that waits for `Engine.answer` or `Engine.abandon`."""

    record: AccountingRecord
    client: Client
    address: Address
    identifier: int
    authenticator: bytes
    proxy_states: tuple[bytes, ...]
    octets: bytes
    """The packet as it was verified, without padding."""
    attributes: tuple[tuple[int, bytes], ...] = ()
    """What its answer is to tell the NAS."""

    @property
    def key(self) -> Key:
        """The key under which the reply cache knows this request."""
        return (self.address[0], self.address[1], self.identifier)


R = TypeVar("R")


class Intake(msgspec.Struct, Generic[R], gc=False):
    """What came of a batch of datagrams."""

    requests: list[R]
    """In order of arrival."""
    replies: list[tuple[bytes, Address]]
    """To be sent at once: cached replies to duplicates, Status-Server, ignored status types."""
    faults: list[tuple[Fault, Address]]
    """What was dropped and why, for a log; already counted in `Engine.drops`."""


class PortEngine(Generic[R]):
    """What every port does with datagrams, whatever its requests `R` are.

    `drops` counts what became no request, by reason, and `answers` the replies given without one.
    """

    port_kind: PortKind
    request_code: Code
    """The code of the requests that the port takes."""
    status_code: Code
    """The code in which it answers Status-Server (RFC 5997)."""

    def __init__(
        self, clients: ClientTable, *, reply_lifetime_ms: int, reply_capacity: int
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
        """How many requests and replies the reply cache holds."""
        return len(self._cache)

    def receive(self, datagrams: Sequence[tuple[bytes, Address]], now_ms: int) -> Intake[R]:
        """Take datagrams that arrived at `now_ms`, Unix milliseconds.

        Nothing that a datagram contains makes this raise: what cannot be used is counted and
        reported, and changes nothing else.
        """
        intake = Intake[R]([], [], [])
        for datagram, address in datagrams:
            outcome = self._take(datagram, address, now_ms)
            if isinstance(outcome, Fault):
                self.drops[outcome.reason] += 1
                intake.faults.append((outcome, address))
            elif isinstance(outcome, bytes):
                intake.replies.append((outcome, address))
            else:
                intake.requests.append(outcome)
        return intake

    def _take(self, datagram: bytes, address: Address, now_ms: int) -> R | bytes | Fault:
        client = self._clients.find(address[0])
        if client is None:
            return UNKNOWN_CLIENT
        octets = packet.frame(datagram)
        if isinstance(octets, Fault):
            return octets
        if octets[0] == self.request_code:
            return self._take_request(octets, client, address, now_ms)
        if octets[0] == Code.STATUS_SERVER:
            reply = _answer_status(octets, client.secret, self.status_code)
            self.answers["status_server"] += isinstance(reply, bytes)
            return reply
        return _UNSUPPORTED_CODE

    def _take_request(
        self, octets: bytes, client: Client, address: Address, now_ms: int
    ) -> R | bytes | Fault:
        """What a packet with the port's code is; it is framed, and verified by nobody yet."""
        raise NotImplementedError

    def _known(self, key: Key, authenticator: bytes, now_ms: int) -> bytes | Fault | None:
        """The reply to a retransmission, or that there is none yet; None for a new request."""
        known = self._cache.find(key, authenticator, now_ms)
        if known is Duplicate.IN_FLIGHT:
            return _DUPLICATE_IN_FLIGHT
        if known is not None:
            self.answers["duplicate"] += 1
        return known


class Engine(PortEngine[Request]):
    """One accounting port. Not safe for use by several threads; each worker has its own.

    `drops` counts what became no request, by reason. Without an answer (RFC 2865 s3, RFC 2866 s3):
    `unknown_client`, `malformed`, `unsupported_code`, `bad_authenticator`,
    `bad_message_authenticator`, `duplicate_in_flight`, `refused_<attribute>_<what>`.
    Acknowledged, and no further use: `ignored_status`, also for
    records that a client's profile says are of no session.
    `answers` counts the other replies that the engine gave by itself: `duplicate` (the cached
    reply) and `status_server`.
    """

    port_kind = PortKind.ACCOUNTING
    request_code = Code.ACCOUNTING_REQUEST
    status_code = Code.ACCOUNTING_RESPONSE

    def __init__(
        self,
        clients: ClientTable,
        *,
        reply_lifetime_ms: int = 30_000,
        reply_capacity: int = 65_536,
    ) -> None:
        super().__init__(
            clients, reply_lifetime_ms=reply_lifetime_ms, reply_capacity=reply_capacity
        )

    def answer(self, request: Request, now_ms: int) -> tuple[bytes, Address]:
        """The Accounting-Response to a request, and where it goes; duplicates get the same."""
        reply = packet.accounting_response(
            request.identifier,
            request.authenticator,
            request.proxy_states,
            request.client.secret,
            request.attributes,
        )
        self._cache.finish(request.key, request.authenticator, reply, now_ms)
        return reply, request.address

    def abandon(self, request: Request) -> None:
        """Give a request up without an answer: its retransmission will be a new request."""
        self._cache.release(request.key, request.authenticator)

    def _take_request(
        self, octets: bytes, client: Client, address: Address, now_ms: int
    ) -> Request | bytes | Fault:
        secret = client.secret
        if not packet.verify_accounting(octets, secret):
            return _BAD_AUTHENTICATOR
        # Before the attributes are looked at: an accounting authenticator is a hash of the whole
        # packet, so equal authenticators are equal packets.
        key = (address[0], address[1], octets[1])
        authenticator = octets[4:20]
        known = self._known(key, authenticator, now_ms)
        if known is not None:
            return known

        parsed = packet.split(octets)
        if isinstance(parsed, Fault):
            return parsed
        # RFC 3579 s3.3 forbids it in accounting, yet some NAS send it: never asked for, but if
        # it is there it must be right.
        if MESSAGE_AUTHENTICATOR in parsed.offsets and not packet.verify_message_authenticator(
            octets, secret, packet.ZERO_AUTHENTICATOR
        ):
            return BAD_MESSAGE_AUTHENTICATOR
        record = decode(parsed, client, address[0], address[1], now_ms)
        if isinstance(record, Fault):
            return record
        proxy_states = parsed.values(PROXY_STATE)
        if isinstance(record, IgnoredStatus) or client.passes_over(record.status, parsed):
            self.drops["ignored_status"] += 1
            return packet.accounting_response(octets[1], authenticator, proxy_states, secret)
        self._cache.begin(key, authenticator)
        return Request(record, client, address, octets[1], authenticator, proxy_states, octets)


def _answer_status(octets: bytes, secret: bytes, code: Code) -> bytes | Fault:
    """The answer to a Status-Server, of the code that the port answers with.

    RFC 5997: the Message-Authenticator is mandatory; other attributes are not looked at.
    """
    parsed = packet.split(octets)
    if isinstance(parsed, Fault):
        return parsed
    authenticator = parsed.authenticator
    if not packet.verify_message_authenticator(octets, secret, authenticator):
        return BAD_MESSAGE_AUTHENTICATOR
    return packet.status_response(code, octets[1], authenticator, secret)


UNKNOWN_CLIENT = Fault("unknown_client", "source address belongs to no configured client")
_UNSUPPORTED_CODE = Fault("unsupported_code", "packet code that this port does not take")
_BAD_AUTHENTICATOR = Fault("bad_authenticator", "Request Authenticator wrong; other secret?")
BAD_MESSAGE_AUTHENTICATOR = Fault(
    "bad_message_authenticator", "Message-Authenticator wrong, missing where needed, or doubled"
)
_DUPLICATE_IN_FLIGHT = Fault("duplicate_in_flight", "retransmission of a request in the works")
