"""The accounting server without sockets: what is answered, what dropped, that nothing raises."""

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyrad.packet import AcctPacket

from radius.clients import ClientTable, ServiceMarker
from radius.engine import Address, Engine, Intake, Request
from radius.packet import Code, Packet, parse
from radius.requests import status_server, verify_response
from tests.radius.datagrams import (
    INTERIM,
    NAS,
    NOW_MS,
    SECRET,
    client,
    clients,
    encode,
    raw_attributes,
    sign,
)


@pytest.fixture
def engine() -> Engine:
    return accounting_engine()


def accounting_engine() -> Engine:
    return Engine(clients("192.0.2.0/24"))


def receive(
    engine: Engine, *datagrams: bytes, source: Address = NAS, now_ms: int = NOW_MS
) -> Intake[Request]:
    return engine.receive([(datagram, source) for datagram in datagrams], now_ms)


def only_request(engine: Engine, datagram: bytes, **arguments: Any) -> Request:
    intake = receive(engine, datagram, **arguments)
    assert len(intake.requests) == 1, engine.drops
    return intake.requests[0]


def engine_for(**says: Any) -> Engine:
    """An engine for a client whose profile says this."""
    return Engine(ClientTable([msgspec.structs.replace(client(), **says)]))


class TestProfiles:
    """What a client's profile says of its records."""

    def test_the_record_of_a_service_is_acknowledged_and_no_more(self) -> None:
        """Its octets are in the session's own (Juniper, Cisco ISG)."""
        engine = engine_for(service_marker=ServiceMarker(4874, 83))
        intake = receive(engine, encode(INTERIM | {"ERX-Service-Session": "gold"}))
        assert (intake.requests, len(intake.replies)) == ([], 1)
        assert engine.drops == {"ignored_status": 1}
        only_request(engine, encode(INTERIM, identifier=2))

    def test_a_marker_may_be_the_beginning_of_a_value(self) -> None:
        engine = engine_for(service_marker=ServiceMarker(9, 1, b"parent-session-id="))
        only_request(engine, encode(INTERIM | {"Cisco-AVPair": "connect-progress=Call Up"}))
        marked = INTERIM | {"Cisco-AVPair": ["a=b", "parent-session-id=7"]}
        assert receive(engine, encode(marked, identifier=2)).requests == []

    @pytest.mark.parametrize("status", [7, 8])
    def test_an_accounting_on_of_a_mere_controller_ends_nothing(self, status: int) -> None:
        boot = {"Acct-Status-Type": status, "NAS-Identifier": "c"}
        assert receive(engine_for(accounting_on=False), encode(boot)).requests == []
        only_request(engine_for(), encode(boot))

    def test_counters_may_count_more_than_an_octet(self) -> None:
        record = only_request(engine_for(octet_unit=1024), encode(INTERIM)).record
        assert record.octets_in == ((1 << 32) + 123_456_789) * 1024


class TestAccounting:
    def test_a_request_waits_for_its_answer_which_the_nas_accepts(self, engine: Engine) -> None:
        datagram = encode(identifier=77)
        request = only_request(engine, datagram)
        assert request.record.session_id == INTERIM["Acct-Session-Id"]
        assert request.record.arrived_ms == NOW_MS
        assert request.client.name == "pop1"
        reply, address = engine.answer(request, NOW_MS)
        assert address == NAS
        assert reply[:2] == bytes((Code.ACCOUNTING_RESPONSE, 77))
        assert verify_response(datagram, reply, secret=SECRET)
        assert engine.drops == {}

    def test_proxy_states_come_back_in_order_and_nothing_else_does(self, engine: Engine) -> None:
        states = [b"second proxy", b"first proxy", b"second proxy"]
        octets = raw_attributes([(33, states[0]), (40, bytes([0, 0, 0, 1])), (33, states[1])])
        octets += raw_attributes([(44, b"s"), (33, states[2]), (25, b"class")])
        reply, _ = engine.answer(only_request(engine, sign(octets)), NOW_MS)
        parsed = parse(reply)
        assert isinstance(parsed, Packet)
        assert parsed.values(33) == tuple(states)
        assert list(parsed.attributes) == [33]

    def test_a_batch_keeps_its_order(self, engine: Engine) -> None:
        batch = [encode(identifier=n, Acct_Session_Id=f"s{n}") for n in range(5)]
        found = [request.record.session_id for request in receive(engine, *batch).requests]
        assert found == ["s0", "s1", "s2", "s3", "s4"]

    def test_an_address_with_more_than_host_and_port_comes_back_whole(self, engine: Engine) -> None:
        source = ("192.0.2.10", 49152, 0, 3)
        _, address = engine.answer(only_request(engine, encode(), source=source), NOW_MS)
        assert address == source

    def test_new_clients_count_from_the_next_datagram_on(self, engine: Engine) -> None:
        engine.replace_clients(clients("198.51.100.0/24"))
        assert receive(engine, encode()).requests == []
        assert only_request(engine, encode(), source=("198.51.100.1", 1))


class TestRetransmission:
    def test_twice_in_one_batch_is_one_request(self, engine: Engine) -> None:
        assert len(receive(engine, encode(), encode()).requests) == 1
        assert engine.drops == {"duplicate_in_flight": 1}

    def test_before_the_answer_it_is_dropped(self, engine: Engine) -> None:
        only_request(engine, encode())
        later = receive(engine, encode(), now_ms=NOW_MS + 60_000)
        assert (later.requests, later.replies) == ([], [])
        assert engine.drops == {"duplicate_in_flight": 1}

    def test_after_the_answer_it_gets_the_same_octets(self, engine: Engine) -> None:
        reply, _ = engine.answer(only_request(engine, encode()), NOW_MS)
        again = receive(engine, encode(), now_ms=NOW_MS + 29_999)
        assert (again.requests, again.replies) == ([], [(reply, NAS)])
        assert engine.answers == {"duplicate": 1}
        assert engine.drops == {}

    def test_after_the_reply_expired_it_is_a_new_request(self, engine: Engine) -> None:
        engine.answer(only_request(engine, encode()), NOW_MS)
        assert only_request(engine, encode(), now_ms=NOW_MS + 30_000)

    def test_of_an_abandoned_request_it_is_a_new_request(self, engine: Engine) -> None:
        engine.abandon(only_request(engine, encode()))
        assert only_request(engine, encode())

    def test_the_same_identifier_with_other_content_is_a_new_request(self, engine: Engine) -> None:
        old = only_request(engine, encode(identifier=3))
        new = only_request(engine, encode(identifier=3, Acct_Session_Time=660))
        new_reply, _ = engine.answer(new, NOW_MS)
        old_reply, _ = engine.answer(old, NOW_MS)
        assert old_reply != new_reply
        again = receive(engine, encode(identifier=3, Acct_Session_Time=660))
        assert again.replies == [(new_reply, NAS)]

    def test_another_source_port_is_another_request(self, engine: Engine) -> None:
        only_request(engine, encode())
        assert only_request(engine, encode(), source=("192.0.2.10", 49153))


class TestDrops:
    @pytest.mark.parametrize(
        ("reason", "datagram"),
        [
            ("malformed", b""),
            ("malformed", encode()[:-1]),
            ("malformed", sign(b"\x01\x00")),
            ("bad_authenticator", encode(secret=b"other")),
            ("bad_authenticator", encode()[:-1] + b"\xfe"),
            ("unsupported_code", sign(b"", code=Code.ACCESS_REQUEST)),
            ("unsupported_code", sign(b"", code=Code.ACCOUNTING_RESPONSE)),
            ("unsupported_code", sign(b"", code=Code.DISCONNECT_REQUEST)),
            ("unsupported_code", sign(b"", code=255)),
            ("bad_message_authenticator", sign(raw_attributes([(80, bytes(16))]))),
            ("refused_message_authenticator_length", sign(raw_attributes([(80, bytes(15))]))),
            ("refused_acct_status_type_missing", sign(raw_attributes([(44, b"s")]))),
            ("refused_acct_session_id_missing", encode(Acct_Session_Id=None)),
            ("refused_acct_input_octets_length", sign(raw_attributes([(42, bytes(8))]))),
            ("refused_framed_ip_address_length", sign(raw_attributes([(8, bytes(16))]))),
            ("bad_message_authenticator", sign(b"", code=Code.STATUS_SERVER)),
        ],
    )
    def test_each_reason_is_counted_and_answered_by_silence(
        self, engine: Engine, reason: str, datagram: bytes
    ) -> None:
        intake = receive(engine, datagram)
        assert (intake.requests, intake.replies) == ([], [])
        assert engine.drops == {reason: 1}
        assert [(fault.reason, address) for fault, address in intake.faults] == [(reason, NAS)]
        assert engine.requests_remembered == 0

    def test_a_stranger_is_dropped_before_anything_is_looked_at(self, engine: Engine) -> None:
        intake = receive(engine, encode(), b"", source=("203.0.113.1", 1))
        assert (intake.requests, intake.replies) == ([], [])
        assert engine.drops == {"unknown_client": 2}

    def test_one_bad_datagram_does_not_hold_up_its_neighbours(self, engine: Engine) -> None:
        intake = receive(engine, encode(identifier=1), b"\x04junk", encode(identifier=2))
        assert [request.identifier for request in intake.requests] == [1, 2]

    def test_a_right_message_authenticator_in_accounting_is_fine(self, engine: Engine) -> None:
        assert only_request(engine, encode(message_authenticator=True))

    @pytest.mark.parametrize("status", [9, 10, 15, 99])
    def test_a_status_type_of_no_session_is_acknowledged_and_counted(
        self, engine: Engine, status: int
    ) -> None:
        datagram = encode(Acct_Status_Type=status)
        intake = receive(engine, datagram)
        assert intake.requests == []
        ((reply, address),) = intake.replies
        assert address == NAS
        assert verify_response(datagram, reply, secret=SECRET)
        assert engine.drops == {"ignored_status": 1}


class TestStatusServer:
    def test_it_is_answered_by_the_code_of_the_port(self, engine: Engine) -> None:
        request = status_server(secret=SECRET, identifier=200)
        ((reply, address),) = receive(engine, request).replies
        assert (reply[0], reply[1], address) == (Code.ACCOUNTING_RESPONSE, 200, NAS)
        sent = AcctPacket(packet=request, secret=SECRET)
        assert sent.VerifyReply(sent.CreateReply(packet=reply), enforce_ma=True)
        assert engine.answers == {"status_server": 1}

    def test_a_wrong_message_authenticator_gets_no_answer(self, engine: Engine) -> None:
        assert receive(engine, status_server(secret=b"other", identifier=1)).replies == []
        assert engine.drops == {"bad_message_authenticator": 1}

    def test_a_stranger_gets_no_answer(self, engine: Engine) -> None:
        request = status_server(secret=SECRET, identifier=1)
        assert receive(engine, request, source=("203.0.113.1", 1)).replies == []


def test_access_requests_belong_to_the_other_port(engine: Engine) -> None:
    assert receive(engine, sign(b"", code=Code.ACCESS_REQUEST)).replies == []
    assert engine.drops == {"unsupported_code": 1}


KINDS = st.one_of(
    st.sampled_from([1, 4, 8, 25, 33, 40, 41, 42, 43, 44, 46, 49, 52, 53, 55, 80, 95, 97, 123]),
    st.integers(0, 255),
)
ATTRIBUTES = st.lists(
    st.tuples(KINDS, st.one_of(st.binary(min_size=4, max_size=4), st.binary(max_size=20))),
    max_size=20,
)


@st.composite
def hostile_datagrams(draw: st.DrawFn) -> bytes:
    """Octets of every degree of rightness, from noise to signed packets with odd attributes."""
    kind = draw(st.integers(0, 4))
    if kind == 0:
        return draw(st.binary(max_size=80))
    if kind == 1:
        code = draw(st.integers(0, 255))
        return sign(draw(st.binary(max_size=60)), code=code, identifier=draw(st.integers(0, 3)))
    if kind == 2:
        return sign(raw_attributes(draw(ATTRIBUTES)), identifier=draw(st.integers(0, 3)))
    octets = bytearray(encode(identifier=draw(st.integers(0, 3))))
    for _ in range(draw(st.integers(1, 6))):
        octets[draw(st.integers(0, len(octets) - 1))] = draw(st.integers(0, 255))
    # Signed again, so that the change gets past the authenticator.
    return sign(bytes(octets[20:])) if kind == 3 else bytes(octets)


class TestHostileInput:
    @settings(max_examples=1500, deadline=None)
    @given(st.lists(hostile_datagrams(), max_size=6))
    def test_nothing_raises_and_what_is_dropped_leaves_no_trace(self, batch: list[bytes]) -> None:
        """Every datagram is a request, a reply or a counted drop; only requests are remembered."""
        engine = accounting_engine()
        intake = receive(engine, *batch)
        dropped = sum(engine.drops.values()) - engine.drops["ignored_status"]
        assert len(intake.requests) + len(intake.replies) + dropped == len(batch)
        assert len(intake.faults) == dropped
        assert engine.requests_remembered <= len(intake.requests)
        for request in intake.requests:
            engine.abandon(request)
        assert engine.requests_remembered == 0
        assert only_request(engine, encode(Acct_Session_Id="after"), now_ms=NOW_MS + 1)

    @settings(max_examples=200, deadline=None)
    @given(st.binary(max_size=200), st.text(max_size=20), st.integers(-1, 70_000))
    def test_no_source_address_raises_either(self, datagram: bytes, host: str, port: int) -> None:
        accounting_engine().receive([(datagram, (host, port))], NOW_MS)

    def test_a_longest_packet_of_empty_attributes_is_read(self, engine: Engine) -> None:
        """The most attributes that fit: 2,037 of them."""
        octets = raw_attributes([(40, bytes([0, 0, 0, 2])), (44, b"s")]) + b"\x21\x02" * 2_032
        request = only_request(engine, sign(octets))
        assert len(request.proxy_states) == 2_032
        reply, _ = engine.answer(request, NOW_MS)
        assert verify_response(sign(octets), reply, secret=SECRET)
