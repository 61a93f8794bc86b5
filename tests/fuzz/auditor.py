"""Watches an engine: each outcome is the verdict's, the reply cache is as it must be.

`Audit.check` is told of every batch and its outcomes. AssertionError names what does not hold.
"""

import hashlib
from collections.abc import Sequence
from typing import Any, cast

import msgspec
from pyrad.packet import AcctPacket, PacketError

from radius.dictionary import load_dictionary
from radius.engine import Address, Engine, Intake, Request
from radius.records import AccountingRecord, identity
from tests.fuzz.mutation import Datagram
from tests.fuzz.verdict import ACKNOWLEDGED, REQUEST, STATUS, Attribute, Verdict, judge
from tests.fuzz.vocabulary import MESSAGE_AUTHENTICATOR, PROXY_STATE, VENDOR_SPECIFIC, attribute

#: One request of so many is held against pyrad's reading of it.
PYRAD_EVERY = 50

_pack = msgspec.msgpack.Encoder().encode

_Key = tuple[str, int, int]


class _Remembered(msgspec.Struct):
    """What the reply cache must hold under a key."""

    authenticator: bytes
    reply: bytes | None
    expires_ms: int = 0


class Outcomes(msgspec.Struct):
    """How often each thing came of a datagram, by the auditor's own counting."""

    datagrams: int = 0
    requests: int = 0
    duplicates: int = 0
    refused: int = 0
    by_pyrad: int = 0


class Audit:
    """The model of one engine."""

    def __init__(self, engine: Engine, lifetime_ms: int) -> None:
        self.outcomes = Outcomes()
        self.reasons: dict[str, int] = {}
        self._engine = engine
        self._lifetime_ms = lifetime_ms
        self._remembered: dict[_Key, _Remembered] = {}

    def addresses(self, batch: Sequence[Datagram]) -> list[tuple[bytes, Address]]:
        """The batch as the engine takes it; each address is numbered, and comes back with that."""
        return [(each.octets, (each.source.host, each.port, n)) for n, each in enumerate(batch)]

    def check(self, batch: Sequence[Datagram], intake: Intake[Request], now_ms: int) -> None:
        """Hold what came of a batch against what must come of it, one datagram after the other."""
        came: dict[object, object] = {}
        for outcome, address in (
            *((request, request.address) for request in intake.requests),
            *intake.replies,
            *((fault.reason, address) for fault, address in intake.faults),
        ):
            assert address[2] not in came, "two outcomes of one datagram"
            came[address[2]] = outcome
        assert len(came) == len(batch), "a datagram without an outcome"
        for number, datagram in enumerate(batch):
            self._check_one(datagram, came[number], now_ms)
        self.outcomes.datagrams += len(batch)
        assert self._engine.requests_remembered == len(self._remembered), (
            f"{self._engine.requests_remembered} remembered, {len(self._remembered)} expected"
        )

    def answered(self, request: Request, reply: bytes, now_ms: int) -> None:
        """The engine has made an answer to a request."""
        found = _attributes(request.octets)
        _check_reply(request.octets, reply, found, request.client.secret)
        if not self._is_in_flight(request):
            return  # its identifier was used again meanwhile
        for key in [k for k, r in self._remembered.items() if r.reply and r.expires_ms <= now_ms]:
            del self._remembered[key]
        self._remembered[request.key] = _Remembered(
            request.authenticator, reply, now_ms + self._lifetime_ms
        )

    def abandoned(self, request: Request) -> None:
        """The engine was told to give a request up."""
        if self._is_in_flight(request):
            del self._remembered[request.key]

    def _is_in_flight(self, request: Request) -> bool:
        known = self._remembered.get(request.key)
        return (
            known is not None
            and known.reply is None
            and known.authenticator == request.authenticator
        )

    def check_counts(self) -> None:
        """The engine's counts are the auditor's; the reasons are few, whatever was sent."""
        drops, answers = dict(self._engine.drops), self._engine.answers
        assert {reason: n for reason, n in drops.items() if n} == self.reasons
        assert answers["duplicate"] == self.outcomes.duplicates
        assert len(drops) < 60, sorted(drops)

    def _check_one(self, datagram: Datagram, came: object, now_ms: int) -> None:
        secret = datagram.source.secret
        verdict = judge(datagram.octets, secret)
        if verdict.packet and verdict.outcome != STATUS:
            # Retransmissions are known by their authenticator, before attributes are looked at.
            key = (datagram.source.host, datagram.port, verdict.packet[1])
            known = self._remembered.get(key)
            if known is not None and known.authenticator == verdict.packet[4:20]:
                if known.reply is None:
                    self._refused("duplicate_in_flight", came)
                    return
                if known.expires_ms > now_ms:
                    assert came == known.reply, "a retransmission is not given its reply"
                    self.outcomes.duplicates += 1
                    return
        if verdict.outcome == REQUEST:
            assert isinstance(came, Request), f"expected a request, came {_short(came)}"
            self._check_request(datagram, came, verdict)
        elif verdict.outcome in (ACKNOWLEDGED, STATUS):
            assert isinstance(came, bytes), f"expected a reply, came {_short(came)}"
            assert secret is not None
            self._check_own_reply(came, verdict, secret)
        else:
            self._refused(verdict.outcome, came)

    def _refused(self, reason: str, came: object) -> None:
        assert came == reason, f"expected {reason}, came {_short(came)}"
        self.outcomes.refused += 1
        self.reasons[reason] = self.reasons.get(reason, 0) + 1

    def _check_own_reply(self, reply: bytes, verdict: Verdict, secret: bytes) -> None:
        if verdict.outcome == ACKNOWLEDGED:
            self.reasons["ignored_status"] = self.reasons.get("ignored_status", 0) + 1
            _check_reply(verdict.packet, reply, verdict.attributes, secret)
            return
        assert reply[0] == 5
        _check_signature(verdict.packet, reply, secret)
        assert len(reply) == 38
        assert reply[20] == MESSAGE_AUTHENTICATOR

    def _check_request(self, datagram: Datagram, request: Request, verdict: Verdict) -> None:
        self.outcomes.requests += 1
        assert request.octets == verdict.packet
        key = request.key
        assert key == (datagram.source.host, datagram.port, verdict.packet[1])
        assert request.authenticator == verdict.packet[4:20]
        self._remembered[key] = _Remembered(request.authenticator, None)
        _check_record(request.record, verdict.attributes)
        if self.outcomes.requests % PYRAD_EVERY == 0:
            assert datagram.source.secret is not None
            _check_by_pyrad(request, datagram.source.secret)
            self.outcomes.by_pyrad += 1


def _short(came: object) -> str:
    return "a request" if isinstance(came, Request) else repr(came)


def _check_record(record: AccountingRecord, attributes: tuple[Attribute, ...]) -> None:
    """The record says what the attributes say, in text that any store can keep."""
    first = dict(reversed(attributes))
    assert record.status == int.from_bytes(first[40])
    for octets, gigawords, read in ((42, 52, record.octets_in), (43, 53, record.octets_out)):
        absent = octets not in first and gigawords not in first
        high, low = first.get(gigawords, b""), first.get(octets, b"")
        assert read == (None if absent else (int.from_bytes(high) << 32) + int.from_bytes(low))
    seconds = first.get(46)
    assert record.session_seconds == (None if seconds is None else int.from_bytes(seconds))
    assert -(100 * 86_400) <= record.event_time - record.arrived_ms // 1000 <= 300
    for octets, text in ((first.get(44), record.session_id), (first.get(1), record.user_name)):
        _check_text(octets or b"", text or "")
    assert "\0" not in record.nas
    assert record.classes == tuple(value for kind, value in attributes if kind == 25)
    # As the pipeline does with every record: it finds the session on its NAS again.
    assert _pack(identity(record))
    _pack((record.nas, record.session_id, record.user_name))


def _check_text(octets: bytes, text: str) -> None:
    assert "\0" not in text
    try:
        expected = octets.decode().replace("\0", "\\x00")
    except UnicodeDecodeError:
        assert text.encode()
        return
    assert text == expected


def _check_by_pyrad(request: Request, secret: bytes) -> None:
    """Where pyrad reads the packet, it reads the same out of it."""
    try:
        read = AcctPacket(packet=request.octets, secret=secret, dict=load_dictionary())
        assert read.VerifyAcctRequest(), "pyrad finds the authenticator wrong"
    except PacketError:
        return
    assert (read.id, read.code) == (request.identifier, 4)
    raw = cast(dict[object, list[bytes]], dict(dict[Any, Any].items(read)))
    for kind in range(256):
        if kind != VENDOR_SPECIFIC:  # which pyrad takes apart
            found = raw.get(kind, [None])[0]
            assert request.record.attributes.get(kind) == found, f"pyrad reads {kind} otherwise"
    assert tuple(raw.get(PROXY_STATE, ())) == request.proxy_states
    assert tuple(raw.get(25, ())) == request.record.classes


def _check_reply(
    request: bytes, reply: bytes, attributes: Sequence[Attribute], secret: bytes
) -> None:
    """An Accounting-Response: signed, for this request, with its Proxy-States and no more."""
    assert reply[0] == 5
    _check_signature(request, reply, secret)
    states = b"".join(attribute(kind, value) for kind, value in attributes if kind == PROXY_STATE)
    assert reply[20:] == states, "other Proxy-States than those of the request"


def _check_signature(request: bytes, reply: bytes, secret: bytes) -> None:
    assert reply[1] == request[1]
    assert int.from_bytes(reply[2:4]) == len(reply) <= 4096
    digest = hashlib.md5(reply[:4] + request[4:20] + reply[20:] + secret, usedforsecurity=False)
    assert reply[4:20] == digest.digest(), "a reply that is not genuine"


def _attributes(packet: bytes) -> list[Attribute]:
    at, found = 20, list[Attribute]()
    while at < len(packet):
        found.append((packet[at], packet[at + 2 : at + packet[at + 1]]))
        at += packet[at + 1]
    return found
