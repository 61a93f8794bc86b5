"""Frame, verify, split and sign, against the RFCs' printed packets, pyrad and hostile octets."""

import hmac
import struct
from collections import OrderedDict
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pyrad.packet import AcctPacket, PacketError
from pyrad.packet import Packet as PyradPacket

from radius import packet
from radius.attributes import FIXED_LENGTHS
from radius.packet import Code, Fault, Packet
from radius.requests import status_server, verify_response
from tests.radius.datagrams import INTERIM, SECRET, encode, raw_attributes, sign

# RFC 2865 s7.1, RFC 5997 s6.2: requests and replies as printed there, secret "xyzzy5461".
RFC2865_REQUEST = bytes.fromhex(
    "010000380f403f9473978057bd83d5cb98f4227a01066e656d6f02120dbe708d93d413ce3196e43f782a0aee"
    "0406c0a80110050600000003"
)
RFC2865_REPLY = bytes.fromhex(
    "0200002686fe220e7624ba2a1005f6bf9b55e0b20606000000010f06000000000e06c0a80103"
)
RFC5997_REQUEST = bytes.fromhex(
    "0cb30026925f6b66dd5fed571fcb1db7ad3882605012e8d6eabda910875cd91fdade26367858"
)
RFC5997_REPLY = bytes.fromhex("05b300140f6f92145f107e2f504e860a4860669c")


def parsed(datagram: bytes) -> Packet:
    found = packet.parse(datagram)
    assert isinstance(found, Packet), found
    return found


def fault(datagram: bytes) -> Fault:
    found = packet.parse(datagram)
    assert isinstance(found, Fault), found
    return found


class TestRfcVectors:
    def test_access_request_of_rfc_2865_splits_into_its_four_attributes(self) -> None:
        request = parsed(RFC2865_REQUEST)
        assert (request.code, request.identifier) == (Code.ACCESS_REQUEST, 0)
        assert request.authenticator == RFC2865_REQUEST[4:20]
        assert list(request.attributes) == [1, 2, 4, 5]
        assert request.attributes[1] == b"nemo"
        assert request.attributes[4] == bytes([192, 168, 1, 16])
        assert request.attributes[5] == (3).to_bytes(4)

    def test_access_accept_of_rfc_2865_has_a_right_response_authenticator(self) -> None:
        assert packet.verify_response(RFC2865_REPLY, RFC2865_REQUEST[4:20], SECRET)
        assert not packet.verify_response(RFC2865_REPLY, RFC2865_REQUEST[4:20], b"other")
        assert not packet.verify_response(RFC2865_REPLY, bytes(16), SECRET)

    def test_status_server_of_rfc_5997_has_a_right_message_authenticator(self) -> None:
        authenticator = RFC5997_REQUEST[4:20]
        assert packet.verify_message_authenticator(RFC5997_REQUEST, SECRET, authenticator)
        assert not packet.verify_message_authenticator(RFC5997_REQUEST, SECRET, bytes(16))
        assert not packet.verify_message_authenticator(RFC5997_REQUEST, b"other", authenticator)

    def test_accounting_response_without_attributes_is_the_one_rfc_5997_prints(self) -> None:
        reply = packet.accounting_response(0xB3, RFC5997_REQUEST[4:20], (), SECRET)
        assert reply == RFC5997_REPLY


class TestFrame:
    def test_padding_after_length_is_cut_off(self) -> None:
        datagram = encode()
        assert packet.frame(datagram + b"\x01\x00padding") == datagram
        assert parsed(datagram + b"\xff" * 900) == parsed(datagram)

    @pytest.mark.parametrize("octets", range(20))
    def test_a_datagram_shorter_than_a_header_is_a_fault(self, octets: int) -> None:
        assert fault(encode()[:octets]).reason == "malformed"

    @pytest.mark.parametrize("length", [0, 1, 19])
    def test_a_length_field_below_20_is_a_fault(self, length: int) -> None:
        datagram = encode()
        assert "allowed are 20 to" in fault(datagram[:2] + length.to_bytes(2) + datagram[4:]).detail

    def test_a_datagram_shorter_than_its_length_is_a_fault(self) -> None:
        datagram = encode()
        assert "but Length is" in fault(datagram[:-1]).detail

    def test_a_header_alone_is_a_packet_without_attributes(self) -> None:
        assert parsed(sign(b"")).attributes == {}

    @pytest.mark.parametrize(
        ("code", "octets", "allowed"),
        [
            (Code.ACCOUNTING_REQUEST, 4095, True),
            (Code.ACCOUNTING_REQUEST, 4096, False),
            (Code.ACCOUNTING_RESPONSE, 4096, False),
            (Code.ACCESS_REQUEST, 4096, True),
            (Code.DISCONNECT_REQUEST, 4096, True),
            (Code.ACCESS_REQUEST, 4097, False),
        ],
    )
    def test_the_longest_packet_depends_on_the_code(
        self, code: int, octets: int, *, allowed: bool
    ) -> None:
        whole, rest = divmod(octets - 20, 255)
        attributes = (b"\x12\xff" + b"x" * 253) * whole
        if rest:
            attributes += bytes((18, rest)) + b"x" * (rest - 2)
        found = packet.parse(sign(attributes, code=code))
        assert isinstance(found, Packet) is allowed


class TestSplit:
    @pytest.mark.parametrize(
        "attributes",
        [
            b"\x01",  # a type without a length
            b"\x01\x00",  # a length that would never advance
            b"\x01\x01",
            b"\x01\x03",  # ends beyond the packet
            b"\x01\x06abc",  # one octet short
            b"\x01\x03a\x01\xffabc",  # a good one, then an overrun
            b"\x01\x03a\x2c",  # a good one, then half a header
            b"\x01\x03a\x2c\x00\x01\x03a",  # zero in the middle
        ],
    )
    def test_one_bad_length_discards_the_whole_packet(self, attributes: bytes) -> None:
        assert fault(sign(attributes)).reason == "malformed"

    def test_an_overrun_is_not_saved_by_padding(self) -> None:
        datagram = sign(b"\x01\x06abc")
        assert fault(datagram + b"d").reason == "malformed"
        assert fault(sign(b"\x01\x03a\x2c") + b"\x03x").reason == "malformed"

    def test_an_empty_value_is_structurally_valid(self) -> None:
        assert parsed(sign(b"\x01\x02")).attributes == {1: b""}

    @pytest.mark.parametrize("kind", FIXED_LENGTHS)
    def test_a_fixed_length_attribute_of_other_length_names_itself(self, kind: int) -> None:
        name, octets = FIXED_LENGTHS[kind]
        for wrong in (0, octets - 1, octets + 1, 253):
            found = fault(sign(raw_attributes([(1, b"a"), (kind, bytes(wrong))])))
            assert found.reason == f"refused_{name.lower().replace('-', '_')}_length"
            assert found.detail == (
                f"{name}: attribute {kind} at octet 23 has {wrong} octets; "
                f"allowed is {octets} octets"
            )
        assert parsed(sign(raw_attributes([(kind, bytes(octets))]))).attributes[kind]

    def test_a_repeated_attribute_is_held_to_its_length_too(self) -> None:
        octets = raw_attributes([(46, bytes(4)), (46, bytes(3))])
        assert fault(sign(octets)).reason == "refused_acct_session_time_length"

    @pytest.mark.parametrize("kind", [97, 123])
    @pytest.mark.parametrize(
        ("value", "good"),
        [
            (b"\0\x40\x20\x01\x0d\xb8", True),
            (b"\0\x00", True),
            (b"\0\x80" + bytes(16), True),
            (b"\0\x81" + bytes(16), False),
            (b"\0\x40" + bytes(17), False),
            (b"\0", False),
            (b"", False),
        ],
    )
    def test_an_ipv6_prefix_is_2_to_18_octets_and_at_most_128_bits(
        self, kind: int, value: bytes, *, good: bool
    ) -> None:
        found = packet.parse(sign(raw_attributes([(kind, value)])))
        assert isinstance(found, Packet) is good

    def test_values_keep_their_order_and_the_first_one_counts(self) -> None:
        found = parsed(sign(raw_attributes([(25, b"a"), (33, b"x"), (25, b"b"), (25, b"a")])))
        assert found.attributes == {25: b"a", 33: b"x"}
        assert (found.get(25), found.get(33), found.get(1)) == (b"a", b"x", None)
        assert found.values(25) == (b"a", b"b", b"a")
        assert found.values(33) == (b"x",)
        assert found.values(1) == ()

    @given(st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=40)), max_size=40))
    def test_what_was_put_in_comes_out(self, attributes: list[tuple[int, bytes]]) -> None:
        """Any attributes whose type has no prescribed length come out as they went in."""
        free = [pair for pair in attributes if pair[0] not in {*FIXED_LENGTHS, 97, 123}]
        found = parsed(sign(raw_attributes(free)))
        for kind in {kind for kind, _ in free}:
            assert found.values(kind) == tuple(value for other, value in free if other == kind)
        assert set(found.attributes) == {kind for kind, _ in free}


class TestAgainstPyrad:
    @settings(max_examples=1000)
    @given(st.data())
    def test_pyrad_sees_the_same_values_in_every_packet_we_accept(
        self, data: st.DataObject
    ) -> None:
        """A valid packet with some octets changed: what we still take, pyrad reads alike."""
        octets = bytearray(encode(INTERIM | {"Proxy-State": [b"p1", b"p2"]}))
        for _ in range(data.draw(st.integers(0, 4))):
            octets[data.draw(st.integers(0, len(octets) - 1))] = data.draw(st.integers(0, 255))
        datagram = bytes(octets) + data.draw(st.binary(max_size=5))
        found = packet.parse(datagram)
        if isinstance(found, Fault):
            return
        theirs = PyradPacket(packet=datagram)
        assert (theirs.code, theirs.id) == (found.code, found.identifier)
        assert theirs.authenticator == found.authenticator
        # Past pyrad's own view, which would want a dictionary for the names.
        raw = {kind: tuple(theirs[kind]) for kind in OrderedDict[int, Any].keys(theirs)}
        assert raw == {kind: found.values(kind) for kind in found.attributes}

    @given(st.binary(max_size=200))
    @example(RFC2865_REQUEST)
    def test_what_pyrad_refuses_we_refuse(self, datagram: bytes) -> None:
        try:
            PyradPacket(packet=datagram)
        except PacketError:
            assert isinstance(packet.parse(datagram), Fault)

    def test_a_wrong_request_authenticator_is_seen_by_both(self) -> None:
        datagram = encode()
        assert packet.verify_accounting(datagram, SECRET)
        assert AcctPacket(packet=datagram, secret=SECRET).VerifyAcctRequest()
        assert not packet.verify_accounting(datagram, b"other")
        for position in range(len(datagram)):
            changed = bytearray(datagram)
            changed[position] ^= 1
            assert not packet.verify_accounting(bytes(changed), SECRET)

    @given(st.lists(st.binary(min_size=1, max_size=253), max_size=6), st.integers(0, 255))
    def test_a_pyrad_client_accepts_our_accounting_response(
        self, proxy_states: list[bytes], identifier: int
    ) -> None:
        """pyrad verifies the reply, and finds every Proxy-State in order, unmodified."""
        request = sign(raw_attributes([(33, s) for s in proxy_states]), identifier=identifier)
        reply = packet.accounting_response(identifier, request[4:20], proxy_states, SECRET)
        assert verify_response(request, reply, secret=SECRET)
        assert parsed(reply).values(33) == tuple(proxy_states)
        assert list(parsed(reply).attributes) == ([33] if proxy_states else [])

    @pytest.mark.parametrize("code", [Code.ACCOUNTING_RESPONSE, Code.ACCESS_ACCEPT])
    def test_a_pyrad_client_accepts_our_status_response(self, code: Code) -> None:
        request = status_server(secret=SECRET, identifier=9)
        reply = packet.status_response(code, 9, request[4:20], SECRET)
        sent = AcctPacket(packet=request, secret=SECRET)
        assert sent.VerifyReply(sent.CreateReply(packet=reply), enforce_ma=True)
        assert reply[0] == code
        assert reply[20] == 80, "Message-Authenticator comes first"
        other = AcctPacket(packet=request, secret=b"other")
        assert not other.VerifyReply(other.CreateReply(packet=reply))


class TestMessageAuthenticator:
    def test_pyrads_is_right_in_an_accounting_request(self) -> None:
        datagram = encode(message_authenticator=True)
        zero = packet.ZERO_AUTHENTICATOR
        assert packet.verify_message_authenticator(datagram, SECRET, zero)
        assert not packet.verify_message_authenticator(datagram, b"other", zero)

    def test_it_may_stand_anywhere_in_the_packet(self) -> None:
        """The HMAC by the RFC's text: header, zero authenticator, attributes with zeros in it."""
        before, after = raw_attributes([(1, b"user")]), raw_attributes([(44, b"session")])
        length = 20 + len(before) + 18 + len(after)
        blank = struct.pack("!BBH", 4, 1, length) + bytes(16)
        blank += before + b"\x50\x12" + bytes(16) + after
        value = hmac.digest(SECRET, blank, "md5")
        datagram = sign(before + b"\x50\x12" + value + after)
        assert packet.verify_message_authenticator(datagram, SECRET, packet.ZERO_AUTHENTICATOR)

    @pytest.mark.parametrize(
        "attributes",
        [
            raw_attributes([(1, b"user")]),
            raw_attributes([(80, bytes(15))]),
            raw_attributes([(80, bytes(17))]),
            b"\x50\x12" + bytes(15),
            b"\x50\x00",
            b"\x50",
            b"",
        ],
    )
    def test_missing_or_of_wrong_length_is_not_right(self, attributes: bytes) -> None:
        datagram = sign(attributes)
        assert not packet.verify_message_authenticator(datagram, SECRET, bytes(16))

    def test_two_of_them_are_not_right(self) -> None:
        """The second is right when the first is left as it is, but which counts is undefined."""
        first = b"\x50\x12" + bytes(16)
        blank = struct.pack("!BBH", 4, 1, 20 + 36) + bytes(16) + first + b"\x50\x12" + bytes(16)
        second = b"\x50\x12" + hmac.digest(SECRET, blank, "md5")
        assert not packet.verify_message_authenticator(sign(first + second), SECRET, bytes(16))


def test_an_attribute_has_its_type_and_length_in_front() -> None:
    assert packet.attribute(33, b"abc") == b"\x21\x05abc"
    assert packet.attribute(33, b"x" * 253)[1] == 255
    with pytest.raises(AssertionError, match="254 octets, 253 allowed"):
        packet.attribute(33, b"x" * 254)
