"""The authentication port without its sockets: datagrams in at `now`, logins and answers out."""

import msgspec

from radius import packet
from radius.access import Answer, Login, answer_octets, decode_login
from radius.attributes import MESSAGE_AUTHENTICATOR, PROXY_STATE
from radius.clients import Client, ClientTable
from radius.duplicates import Key
from radius.engine import BAD_MESSAGE_AUTHENTICATOR, Address, PortEngine, PortKind
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


class AccessEngine(PortEngine[AccessRequest]):
    """One authentication port. Counts as `radius.engine.Engine` does, and besides:

    `unsigned`: no Message-Authenticator from a client whose profile or setting says that it sends
    one; `unsigned_proxy_state`: none, and yet Proxy-State, with which an answer can be forged
    (CVE-2024-3596), from any client.
    """

    port_kind = PortKind.AUTHENTICATION
    request_code = Code.ACCESS_REQUEST
    status_code = Code.ACCESS_ACCEPT

    def __init__(
        self,
        clients: ClientTable,
        *,
        reply_lifetime_ms: int = 30_000,
        reply_capacity: int = 16_384,
    ) -> None:
        super().__init__(
            clients, reply_lifetime_ms=reply_lifetime_ms, reply_capacity=reply_capacity
        )

    def _take_request(
        self, octets: bytes, client: Client, address: Address, now_ms: int
    ) -> AccessRequest | bytes | Fault:
        parsed = packet.split(octets)
        if isinstance(parsed, Fault):
            return parsed
        fault = _signature_fault(parsed, client)
        if fault is not None:
            return fault
        key = (address[0], address[1], parsed.identifier)
        known = self._known(key, parsed.authenticator, now_ms)
        if known is not None:
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
