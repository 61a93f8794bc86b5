"""One Disconnect- or CoA-Request to a NAS, without its socket (RFC 5176).

`disconnect_request` and `coa_request` build the octets. An `Exchange` says when to send them again
(RFC 5080 s2.2.1) and what a reply means; `advice` says what to do about it. An ACK does not prove
that a session ended: some NAS acknowledge first and cut later, or cut another session of the same
user. Only a Stop, or silence, is proof.
"""

from collections import Counter
from collections.abc import Sequence
from enum import Enum, IntEnum
from random import Random

import msgspec
from pyrad.packet import CoAPacket

from radius import attributes as attr
from radius import packet
from radius.identification import NAS_ATTRIBUTES, Attributes
from radius.packet import Code, Fault
from radius.profiles import CoaRules


class ErrorCause(IntEnum):
    """Error-Cause values (RFC 5176 s3.5)."""

    RESIDUAL_CONTEXT_REMOVED = 201
    INVALID_EAP_PACKET = 202
    UNSUPPORTED_ATTRIBUTE = 401
    MISSING_ATTRIBUTE = 402
    NAS_IDENTIFICATION_MISMATCH = 403
    INVALID_REQUEST = 404
    UNSUPPORTED_SERVICE = 405
    UNSUPPORTED_EXTENSION = 406
    INVALID_ATTRIBUTE_VALUE = 407
    ADMINISTRATIVELY_PROHIBITED = 501
    REQUEST_NOT_ROUTABLE = 502
    SESSION_CONTEXT_NOT_FOUND = 503
    SESSION_CONTEXT_NOT_REMOVABLE = 504
    OTHER_PROXY_PROCESSING_ERROR = 505
    RESOURCES_UNAVAILABLE = 506
    REQUEST_INITIATED = 507
    MULTIPLE_SESSION_SELECTION_UNSUPPORTED = 508


class Outcome(Enum):
    """How an exchange ended."""

    ACK = "ack"
    NAK = "nak"
    TIMED_OUT = "timed_out"
    """No genuine reply within the retransmission limits."""
    CANCELLED = "cancelled"
    """Its cause was gone before a transmission."""
    UNSENT = "unsent"
    """It could not be sent at all: no such host, no route, no such local address."""


class Verdict(msgspec.Struct, frozen=True):
    """The end of an exchange."""

    outcome: Outcome
    transmissions: int
    """How often the request was sent, 0 when it never was."""
    error_cause: int | None = None
    """Error-Cause of the reply; usually a member of `ErrorCause`, but a NAS may send any number."""
    detail: str = ""
    """For `UNSENT`, what the operating system said."""


class Timers(msgspec.Struct, frozen=True):
    """Retransmission parameters; the defaults are those of RFC 5080 s2.2.1."""

    initial_ms: int = 2_000
    """IRT"""
    maximum_ms: int = 16_000
    """MRT"""
    transmissions: int = 5
    """MRC"""
    duration_ms: int = 30_000
    """MRD"""
    jitter: float = 0.1
    """RAND: each interval is lengthened or shortened by up to this part of it."""


def disconnect_request(
    identification: Attributes,
    *,
    identifier: int,
    secret: bytes,
    rules: CoaRules,
    event_time: int,
) -> bytes:
    """A Disconnect-Request for the session that `identification` names.

    `event_time`, Unix seconds, goes out as Event-Timestamp where the rules want one. It belongs to
    the request and not to a transmission (RFC 5176 s6.3), so the octets serve the whole exchange.
    """
    return _request(Code.DISCONNECT_REQUEST, identification, identifier, secret, rules, event_time)


def coa_request(
    identification: Attributes,
    changes: Attributes,
    *,
    identifier: int,
    secret: bytes,
    rules: CoaRules,
    event_time: int,
) -> bytes:
    """A CoA-Request: as `disconnect_request`, with the attributes to change.

    An attribute identifies a session or changes it, never both (RFC 5176 s3.6 note).
    """
    identifying = {kind for kind, _ in identification}
    assert not identifying & {kind for kind, _ in changes}, "an attribute both finds and changes"
    attributes = (*identification, *changes)
    return _request(Code.COA_REQUEST, attributes, identifier, secret, rules, event_time)


def _request(
    code: int,
    attributes: Attributes,
    identifier: int,
    secret: bytes,
    rules: CoaRules,
    event_time: int,
) -> bytes:
    request = CoAPacket(code=code, id=identifier, secret=secret)
    if rules.message_authenticator:
        request.add_message_authenticator()
    # Raw octets by attribute type: what identifies a session must go back as the NAS sent it.
    for kind, value in attributes:
        request.setdefault(kind, []).append(value)
    if rules.event_timestamp:
        request[attr.EVENT_TIMESTAMP] = [event_time.to_bytes(4)]
    return request.RequestPacket()


class Exchange:
    """The life of one request, from its first transmission to its verdict.

    Times are milliseconds of any clock that does not go backwards. All transmissions are the same
    octets (RFC 5176 s2.3). `ignored` counts replies that do not verify, by reason: they may come
    from anybody, or answer an earlier request, and change nothing.
    """

    def __init__(self, request: bytes, secret: bytes, random: Random, timers: Timers | None = None):
        assert request[0] in _REPLIES, "a Disconnect- or CoA-Request"
        self.transmissions = 0
        self.ignored: Counter[str] = Counter()
        self._request = request
        self._secret = secret
        self._random = random
        self._timers = timers or Timers()
        self._interval_ms = 0
        self._retransmit_at_ms = 0
        self._give_up_at_ms = 0

    def first(self, now_ms: int) -> bytes:
        """What to send first. To be called once."""
        assert self.transmissions == 0, "the first transmission has been made"
        self._give_up_at_ms = now_ms + self._timers.duration_ms
        return self._transmit(now_ms, self._jittered(self._timers.initial_ms))

    @property
    def next_deadline_ms(self) -> int:
        """When to call `due`, unless a reply ends the exchange before."""
        assert self.transmissions, "nothing was sent yet"
        return min(self._retransmit_at_ms, self._give_up_at_ms)

    def over(self, now_ms: int) -> Verdict | None:
        """The verdict that time is up, or None.

        RFC 5080 s2.2.1: the exchange fails when the last transmission has had its interval, or when
        MRD has passed since the first.
        """
        last = self.transmissions >= self._timers.transmissions
        if now_ms >= self._give_up_at_ms or (last and now_ms >= self._retransmit_at_ms):
            return Verdict(Outcome.TIMED_OUT, self.transmissions)
        return None

    def due(self, now_ms: int) -> bytes | Verdict | None:
        """What to send again; or the verdict that time is up; or None before the deadline."""
        if now_ms < self.next_deadline_ms:
            return None
        over = self.over(now_ms)
        if over is not None:
            return over
        timers = self._timers
        # RT = 2 * RTprev + RAND * RTprev, and around MRT once it would pass that.
        interval_ms = self._interval_ms + self._jittered(self._interval_ms)
        if interval_ms > timers.maximum_ms:
            interval_ms = self._jittered(timers.maximum_ms)
        return self._transmit(now_ms, interval_ms)

    def receive(self, datagram: bytes) -> Verdict | None:
        """The verdict that a datagram brings, or None when it is no genuine reply to this request.

        A reply must have the Identifier of the request, a code that answers it, a right Response
        Authenticator (RFC 5176 s2.3) and, if it has a Message-Authenticator, a right one (s3.4).
        """
        octets = packet.frame(datagram)
        if isinstance(octets, Fault):
            return self._ignore("malformed")
        outcome = _REPLIES[self._request[0]].get(octets[0])
        if outcome is None or octets[1] != self._request[1]:
            return self._ignore("not_a_reply_to_this")
        authenticator = self._request[4:20]
        if not packet.verify_response(octets, authenticator, self._secret):
            return self._ignore("bad_authenticator")
        reply = packet.split(octets)
        if isinstance(reply, Fault):
            return self._ignore("malformed")
        if attr.MESSAGE_AUTHENTICATOR in reply.offsets and not packet.verify_message_authenticator(
            octets, self._secret, authenticator
        ):
            return self._ignore("bad_message_authenticator")
        cause = reply.get(attr.ERROR_CAUSE)
        return Verdict(
            outcome, self.transmissions, None if cause is None else int.from_bytes(cause)
        )

    def _transmit(self, now_ms: int, interval_ms: int) -> bytes:
        self.transmissions += 1
        self._interval_ms = interval_ms
        self._retransmit_at_ms = now_ms + interval_ms
        return self._request

    def _jittered(self, interval_ms: int) -> int:
        jitter = self._timers.jitter
        return round(interval_ms * (1 + self._random.uniform(-jitter, jitter)))

    def _ignore(self, reason: str) -> None:
        self.ignored[reason] += 1


_REPLIES: dict[int, dict[int, Outcome]] = {
    Code.DISCONNECT_REQUEST: {Code.DISCONNECT_ACK: Outcome.ACK, Code.DISCONNECT_NAK: Outcome.NAK},
    Code.COA_REQUEST: {Code.COA_ACK: Outcome.ACK, Code.COA_NAK: Outcome.NAK},
}


class Advice(Enum):
    """What to do after a verdict."""

    AWAIT_STOP = "await_stop"
    """The NAS says it did it. Wait for the Stop, or for silence, and believe only that."""
    GONE = "gone"
    """The NAS knows no such session. Wait for a Stop on its way, or for silence, then close it."""
    NEXT_SET = "next_set"
    """Identify the session by the next set of attributes."""
    WITHOUT_NAS = "without_nas"
    """Identify it by a set that does not name the NAS."""
    MORE_IDENTIFIERS = "more_identifiers"
    """Identify it by a larger set: the one that was sent fits several sessions."""
    ALERT = "alert"
    """The NAS is not set up to obey us. Tell operations, and back off for long."""
    RETRY = "retry"
    """Try the same again later, with back-off."""
    NOTHING = "nothing"
    """The cause is gone."""


_BY_CAUSE: dict[int, Advice] = {
    ErrorCause.UNSUPPORTED_ATTRIBUTE: Advice.NEXT_SET,
    ErrorCause.MISSING_ATTRIBUTE: Advice.NEXT_SET,
    ErrorCause.NAS_IDENTIFICATION_MISMATCH: Advice.WITHOUT_NAS,
    ErrorCause.INVALID_REQUEST: Advice.NEXT_SET,
    ErrorCause.UNSUPPORTED_SERVICE: Advice.ALERT,
    ErrorCause.UNSUPPORTED_EXTENSION: Advice.ALERT,
    ErrorCause.INVALID_ATTRIBUTE_VALUE: Advice.NEXT_SET,
    ErrorCause.ADMINISTRATIVELY_PROHIBITED: Advice.ALERT,
    ErrorCause.REQUEST_NOT_ROUTABLE: Advice.ALERT,
    ErrorCause.SESSION_CONTEXT_NOT_FOUND: Advice.GONE,
    ErrorCause.SESSION_CONTEXT_NOT_REMOVABLE: Advice.RETRY,
    ErrorCause.OTHER_PROXY_PROCESSING_ERROR: Advice.RETRY,
    ErrorCause.RESOURCES_UNAVAILABLE: Advice.RETRY,
    ErrorCause.MULTIPLE_SESSION_SELECTION_UNSUPPORTED: Advice.MORE_IDENTIFIERS,
}

_BY_OUTCOME: dict[Outcome, Advice] = {
    Outcome.ACK: Advice.AWAIT_STOP,
    Outcome.TIMED_OUT: Advice.RETRY,
    Outcome.CANCELLED: Advice.NOTHING,
    Outcome.UNSENT: Advice.RETRY,
}


def advice(verdict: Verdict, *, sent_before: bool = False) -> Advice:
    """What to do after this verdict, for a Disconnect-Request.

    `sent_before` says that an earlier exchange asked the same of this session. A NAK without a
    cause then mostly means that the session is gone, as it does when this exchange had to
    retransmit: the first transmission may have done it, and its ACK got lost. Otherwise it may
    mean anything, most likely that the NAS does not find the session by what it was sent. An
    Error-Cause that no RFC defines is one more reason to try another set.
    """
    if verdict.outcome is not Outcome.NAK:
        return _BY_OUTCOME[verdict.outcome]
    if verdict.error_cause is None:
        return Advice.GONE if sent_before or verdict.transmissions > 1 else Advice.NEXT_SET
    return _BY_CAUSE.get(verdict.error_cause, Advice.NEXT_SET)


def next_set(sets: Sequence[Attributes], tried: int, follow: Advice) -> int | None:
    """Index of the identification set to try after `sets[tried]`, or None when none is left.

    `follow` is `NEXT_SET`, `WITHOUT_NAS` or `MORE_IDENTIFIERS`. The search goes forward only, so a
    session is never asked for by the same set twice.
    """
    for index in range(tried + 1, len(sets)):
        kinds = {kind for kind, _ in sets[index]}
        if follow is Advice.WITHOUT_NAS and kinds & NAS_ATTRIBUTES:
            continue
        if follow is Advice.MORE_IDENTIFIERS and len(sets[index]) <= len(sets[tried]):
            continue
        return index
    return None
