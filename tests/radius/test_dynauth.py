"""Disconnect and CoA exchanges without a network: octets, timers, replies, advice."""

import hashlib
import random
import struct
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyrad.packet import CoAPacket

from radius import attributes as attr
from radius.dynauth import (
    Advice,
    ErrorCause,
    Exchange,
    Outcome,
    Timers,
    Verdict,
    advice,
    coa_request,
    disconnect_request,
    next_set,
)
from radius.identification import Attributes
from radius.packet import Code, Packet, parse
from radius.profiles import CoaRules
from radius.requests import dynamic_reply, read_dynamic_request
from tests.radius.datagrams import NOW, SECRET, raw_attributes

RULES = CoaRules(port=3799, message_authenticator=True, event_timestamp=True)
IDENTIFICATION: Attributes = ((attr.USER_NAME, b"user\xff"), (attr.ACCT_SESSION_ID, b"s1"))
NO_JITTER = Timers(jitter=0)


def request(identifier: int = 5, rules: CoaRules = RULES) -> bytes:
    return disconnect_request(
        IDENTIFICATION, identifier=identifier, secret=SECRET, rules=rules, event_time=NOW
    )


def change(identifier: int = 5) -> bytes:
    return coa_request(
        IDENTIFICATION,
        ((27, (60).to_bytes(4)), (26, b"\0\0\x3a\x8c\x08\x05abc"), (26, b"\0\0\x3a\x8c\x13\x03l")),
        identifier=identifier,
        secret=SECRET,
        rules=RULES,
        event_time=NOW,
    )


def exchange(octets: bytes | None = None, timers: Timers | None = None) -> Exchange:
    """An exchange whose first transmission was at 0."""
    found = Exchange(octets or request(), SECRET, random.Random(1), timers)
    found.first(0)
    return found


def reply(
    octets: bytes, *, ack: bool = True, secret: bytes = SECRET, cause: int | None = None
) -> bytes:
    return dynamic_reply(octets, secret=secret, ack=ack, error_cause=cause)


class TestRequests:
    def test_a_disconnect_request_says_what_the_nas_said_and_no_more(self) -> None:
        packet = parse(request(identifier=9))
        assert isinstance(packet, Packet)
        assert (packet.code, packet.identifier) == (Code.DISCONNECT_REQUEST, 9)
        message_authenticator = packet.attributes[attr.MESSAGE_AUTHENTICATOR]
        assert packet.attributes == {
            attr.MESSAGE_AUTHENTICATOR: message_authenticator,
            attr.USER_NAME: b"user\xff",
            attr.ACCT_SESSION_ID: b"s1",
            attr.EVENT_TIMESTAMP: NOW.to_bytes(4),
        }

    @pytest.mark.parametrize("octets", [request(), change()])
    def test_the_nas_finds_both_authenticators_right(self, octets: bytes) -> None:
        received = CoAPacket(packet=octets, secret=SECRET)
        assert received.VerifyCoARequest()
        assert received.verify_message_authenticator()
        assert read_dynamic_request(octets, secret=SECRET) is not None
        assert read_dynamic_request(octets, secret=b"other") is None

    def test_a_profile_may_leave_out_what_is_optional(self) -> None:
        bare = CoaRules(port=3799, message_authenticator=False, event_timestamp=False)
        packet = parse(request(rules=bare))
        assert isinstance(packet, Packet)
        assert list(packet.attributes) == [attr.USER_NAME, attr.ACCT_SESSION_ID]
        assert CoAPacket(packet=request(rules=bare), secret=SECRET).VerifyCoARequest()

    def test_a_coa_request_carries_its_changes_also_repeated_ones(self) -> None:
        packet = parse(change())
        assert isinstance(packet, Packet)
        assert packet.code == Code.COA_REQUEST
        assert packet.attributes[27] == (60).to_bytes(4)
        assert packet.values(26) == (b"\0\0\x3a\x8c\x08\x05abc", b"\0\0\x3a\x8c\x13\x03l")

    def test_an_attribute_cannot_both_find_and_change(self) -> None:
        with pytest.raises(AssertionError, match="both finds and changes"):
            coa_request(
                IDENTIFICATION,
                ((attr.USER_NAME, b"other"),),
                identifier=1,
                secret=SECRET,
                rules=RULES,
                event_time=NOW,
            )


class TestTimers:
    def test_without_jitter_the_intervals_double_up_to_the_limit_of_30_seconds(self) -> None:
        """RFC 5080 s2.2.1: IRT 2 s, doubling, MRT 16 s, MRD 30 s; the fifth would be at 30 s."""
        found = exchange(timers=NO_JITTER)
        sent_at = [0]
        while not isinstance(due := found.due(now := found.next_deadline_ms), Verdict):
            assert due == request()
            sent_at.append(now)
        assert sent_at == [0, 2_000, 6_000, 14_000]
        assert now == 30_000
        assert due == Verdict(Outcome.TIMED_OUT, transmissions=4)

    def test_the_number_of_transmissions_is_bounded_and_the_last_has_its_interval(self) -> None:
        found = exchange(timers=Timers(jitter=0, transmissions=2))
        assert found.due(2_000) == request()
        assert found.next_deadline_ms == 6_000
        assert found.due(6_000) == Verdict(Outcome.TIMED_OUT, transmissions=2)

    def test_intervals_grow_no_further_than_the_maximum(self) -> None:
        timers = Timers(jitter=0, transmissions=7, maximum_ms=5_000, duration_ms=60_000)
        found = exchange(timers=timers)
        deadlines: list[int] = []
        while isinstance(found.due(found.next_deadline_ms), bytes):
            deadlines.append(found.next_deadline_ms)
        assert deadlines == [6_000, 11_000, 16_000, 21_000, 26_000, 31_000]

    @given(st.integers())
    def test_jitter_is_a_tenth_at_most_and_the_end_is_never_later(self, seed: int) -> None:
        found = Exchange(request(), SECRET, random.Random(seed))
        found.first(0)
        sent_at = [0]
        while not isinstance(found.due(now := found.next_deadline_ms), Verdict):
            sent_at.append(now)
        assert now <= 30_000
        intervals = [later - earlier for earlier, later in pairwise(sent_at)]
        assert 1_800 <= intervals[0] <= 2_200
        for previous, interval in pairwise(intervals):
            doubled = 1.9 * previous - 1 <= interval <= 2.1 * previous + 1
            at_the_maximum = 14_400 <= interval <= 17_600
            assert doubled or at_the_maximum

    def test_before_the_deadline_nothing_is_due(self) -> None:
        found = exchange(timers=NO_JITTER)
        assert found.due(1_999) is None
        assert found.transmissions == 1

    def test_after_a_long_pause_one_transmission_is_due_and_not_all_missed_ones(self) -> None:
        found = exchange(timers=NO_JITTER)
        assert isinstance(found.due(13_000), bytes)
        assert found.due(13_000) is None
        assert found.next_deadline_ms == 17_000

    def test_every_transmission_is_the_same_octets(self) -> None:
        """RFC 5176 s2.3 and s6.3: same Identifier, authenticator and Event-Timestamp."""
        found = Exchange(octets := request(), SECRET, random.Random(2))
        assert found.first(5_000_000) == octets
        assert found.due(found.next_deadline_ms) == octets

    def test_an_exchange_begins_once(self) -> None:
        with pytest.raises(AssertionError, match="first transmission"):
            exchange().first(1)


class TestReplies:
    @pytest.mark.parametrize("octets", [request(), change()])
    def test_an_ack(self, octets: bytes) -> None:
        assert exchange(octets).receive(reply(octets)) == Verdict(Outcome.ACK, 1)

    def test_an_ack_may_have_a_cause(self) -> None:
        found = exchange().receive(reply(request(), cause=201))
        assert found == Verdict(Outcome.ACK, 1, ErrorCause.RESIDUAL_CONTEXT_REMOVED)

    @pytest.mark.parametrize("octets", [request(), change()])
    @pytest.mark.parametrize("cause", [None, *ErrorCause, 999])
    def test_a_nak_with_its_cause(self, octets: bytes, cause: int | None) -> None:
        found = exchange(octets).receive(reply(octets, ack=False, cause=cause))
        assert found == Verdict(Outcome.NAK, 1, cause)

    def test_transmissions_are_counted_in_the_verdict(self) -> None:
        found = exchange()
        found.due(found.next_deadline_ms)
        assert found.receive(reply(request())) == Verdict(Outcome.ACK, 2)

    def test_a_right_message_authenticator_in_a_reply(self) -> None:
        received = CoAPacket(packet=request(), secret=SECRET)
        signed = received.CreateReply()
        signed.add_message_authenticator()
        octets = signed.ReplyPacket()
        assert attr.MESSAGE_AUTHENTICATOR in octets
        assert exchange().receive(octets) == Verdict(Outcome.ACK, 1)

    @staticmethod
    def signed(octets: bytes, *, code: int = 41, identifier: int = 5) -> bytes:
        """A reply with a right Response Authenticator over any attributes."""
        head = struct.pack("!BBH", code, identifier, 20 + len(octets))
        return head + hashlib.md5(head + request()[4:20] + octets + SECRET).digest() + octets

    @pytest.mark.parametrize(
        ("reason", "datagram"),
        [
            ("malformed", b""),
            ("malformed", signed(b"\x01\x00")),
            ("malformed", signed(raw_attributes([(attr.ERROR_CAUSE, b"\1")]))),
            ("bad_authenticator", reply(request(), secret=b"other")),
            ("bad_authenticator", signed(b"")[:-1] + b"\0"),
            ("bad_message_authenticator", signed(raw_attributes([(80, bytes(16))]))),
            ("not_a_reply_to_this", signed(b"", identifier=6)),
            ("not_a_reply_to_this", signed(b"", code=Code.COA_ACK)),
            ("not_a_reply_to_this", signed(b"", code=Code.DISCONNECT_REQUEST)),
            ("not_a_reply_to_this", signed(b"", code=Code.ACCESS_ACCEPT)),
        ],
    )
    def test_what_is_no_genuine_reply_is_counted_and_changes_nothing(
        self, reason: str, datagram: bytes
    ) -> None:
        found = exchange()
        deadline_ms = found.next_deadline_ms
        assert found.receive(datagram) is None
        assert found.ignored == {reason: 1}
        assert found.next_deadline_ms == deadline_ms
        assert found.receive(reply(request())) == Verdict(Outcome.ACK, 1)

    def test_the_reply_to_an_earlier_request_is_not_taken_for_this_one(self) -> None:
        """strongSwan answers so when port and Identifier come again: the old authenticator."""
        earlier = disconnect_request(
            IDENTIFICATION, identifier=5, secret=SECRET, rules=RULES, event_time=NOW - 60
        )
        found = exchange()
        assert found.receive(reply(earlier)) is None
        assert found.ignored == {"bad_authenticator": 1}

    @given(st.binary(max_size=60))
    def test_no_datagram_raises(self, datagram: bytes) -> None:
        assert exchange().receive(datagram) is None
        signed = self.signed(datagram, code=42)
        found = exchange().receive(signed)
        assert found is None or found.outcome is Outcome.NAK


def nak(cause: int | None, transmissions: int = 1) -> Verdict:
    return Verdict(Outcome.NAK, transmissions, cause)


class TestAdvice:
    @pytest.mark.parametrize(
        ("verdict", "expected"),
        [
            (Verdict(Outcome.ACK, 1), Advice.AWAIT_STOP),
            (Verdict(Outcome.ACK, 3, 201), Advice.AWAIT_STOP),
            (Verdict(Outcome.TIMED_OUT, 5), Advice.RETRY),
            (Verdict(Outcome.UNSENT, 0, detail="no route"), Advice.RETRY),
            (Verdict(Outcome.CANCELLED, 1), Advice.NOTHING),
            (nak(401), Advice.NEXT_SET),
            (nak(402), Advice.NEXT_SET),
            (nak(404), Advice.NEXT_SET),
            (nak(407), Advice.NEXT_SET),
            (nak(403), Advice.WITHOUT_NAS),
            (nak(405), Advice.ALERT),
            (nak(406), Advice.ALERT),
            (nak(501), Advice.ALERT),
            (nak(502), Advice.ALERT),
            (nak(503), Advice.GONE),
            (nak(504), Advice.RETRY),
            (nak(505), Advice.RETRY),
            (nak(506), Advice.RETRY),
            (nak(508), Advice.MORE_IDENTIFIERS),
            (nak(None), Advice.NEXT_SET),
            (nak(None, transmissions=2), Advice.GONE),
            (nak(999), Advice.NEXT_SET),
        ],
    )
    def test_each_verdict(self, verdict: Verdict, expected: Advice) -> None:
        assert advice(verdict) is expected

    def test_a_nak_without_cause_to_a_repeated_demand_means_gone(self) -> None:
        assert advice(nak(None), sent_before=True) is Advice.GONE
        assert advice(nak(401), sent_before=True) is Advice.NEXT_SET

    def test_a_verdict_survives_packing(self) -> None:
        for verdict in (nak(503), Verdict(Outcome.UNSENT, 0, detail="no route")):
            packed = msgspec.json.encode(verdict)
            assert msgspec.json.decode(packed, type=Verdict) == verdict


class TestNextSet:
    BOTH: Any = ((1, b"u"), (44, b"s"))
    ONE: Any = ((44, b"s"),)
    WITH_NAS: Any = ((1, b"u"), (44, b"s"), (32, b"n"))
    ADDRESS: Any = ((1, b"u"), (8, b"addr"))
    SETS: Any = (BOTH, ONE, WITH_NAS, ADDRESS)

    @pytest.mark.parametrize(
        ("tried", "follow", "expected"),
        [
            (0, Advice.NEXT_SET, 1),
            (2, Advice.NEXT_SET, 3),
            (3, Advice.NEXT_SET, None),
            (1, Advice.WITHOUT_NAS, 3),
            (2, Advice.WITHOUT_NAS, 3),
            (0, Advice.MORE_IDENTIFIERS, 2),
            (1, Advice.MORE_IDENTIFIERS, 2),
            (2, Advice.MORE_IDENTIFIERS, None),
        ],
    )
    def test_the_search_goes_forward_to_the_first_that_fits(
        self, tried: int, follow: Advice, expected: int | None
    ) -> None:
        assert next_set(self.SETS, tried, follow) == expected
