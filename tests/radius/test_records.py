"""Identities and texts of records."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from radius.decode import decode
from radius.packet import Packet, parse
from radius.records import (
    AccountingRecord,
    AcctStatus,
    SessionIdentity,
    attributes_of,
    identity,
    text,
)
from tests.radius.datagrams import NAS, NOW_MS, START, client, encode, raw_attributes, sign


def record_of(datagram: bytes) -> AccountingRecord:
    packet = parse(datagram)
    assert isinstance(packet, Packet), packet
    record = decode(packet, client(), *NAS, NOW_MS)
    assert isinstance(record, AccountingRecord), record
    return record


class TestIdentity:
    def test_it_holds_what_the_nas_said_of_the_session(self) -> None:
        record = record_of(
            encode(
                START
                | {
                    "NAS-IPv6-Address": "2001:db8::1",
                    "Framed-IPv6-Prefix": "2001:db8:1::/48",
                    "Chargeable-User-Identity": b"\0\xff",
                    "Class": [b"a", b"b"],
                }
            )
        )
        assert identity(record) == SessionIdentity(
            client="pop1",
            nas="pop1/bng-01",
            source_host="192.0.2.10",
            user_name_raw=b"user0001@isp.example",
            session_id_raw=b"8100A3F2-00001C42",
            nas_identifier=b"bng-01",
            nas_ip="192.0.2.10",
            nas_ipv6="2001:db8::1",
            framed_ip="198.51.100.7",
            framed_ipv6_prefix="2001:db8:1::/48",
            calling_station="00:53:00:AA:BB:CC",
            called_station="internet",
            nas_port=17,
            nas_port_id="ge-0/0/1:100-200",
            nas_port_type=15,
            cui=b"\0\xff",
            classes=(b"a", b"b"),
        )

    def test_what_the_nas_did_not_say_is_none(self) -> None:
        bare = identity(record_of(encode({"Acct-Status-Type": 1, "Acct-Session-Id": "s"})))
        values = msgspec.structs.asdict(bare)
        said = {"client", "nas", "source_host", "session_id_raw", "classes"}
        assert {name for name, value in values.items() if value is not None} == said
        assert bare.nas == "pop1/192.0.2.10"
        assert bare.classes == ()

    def test_an_accounting_on_without_a_session_has_an_identity_too(self) -> None:
        assert identity(record_of(encode({"Acct-Status-Type": 7}))).session_id_raw == b""

    def test_names_that_are_not_utf8_keep_their_octets(self) -> None:
        octets = raw_attributes([(40, (1).to_bytes(4)), (44, b"s\xff"), (1, b"u\xfe\0")])
        record = record_of(sign(octets))
        assert (record.session_id, record.user_name) == ("s\\xff", "u\\xfe\\x00")
        found = identity(record)
        assert (found.session_id_raw, found.user_name_raw) == (b"s\xff", b"u\xfe\0")

    @pytest.mark.parametrize(
        ("value", "shown"),
        [
            (b"\0\x40\x20\x01\x0d\xb8", "2001:db8::/64"),
            (b"\0\x00", "::/0"),
            (b"\0\x20\x20\x01\x0d\xb8\xff\xff", "2001:db8::/32"),
            (b"\0\x80" + bytes(15) + b"\1", "::1/128"),
        ],
    )
    def test_a_prefix_is_shown_without_the_bits_behind_it(self, value: bytes, shown: str) -> None:
        octets = raw_attributes([(40, (1).to_bytes(4)), (44, b"s"), (97, value)])
        assert identity(record_of(sign(octets))).framed_ipv6_prefix == shown

    def test_a_record_made_by_hand_may_have_a_plain_dictionary(self) -> None:
        decoded = record_of(encode(START))
        raw = {1: b"user", 44: b"s1", 4: bytes([192, 0, 2, 1])}
        found = identity(msgspec.structs.replace(decoded, attributes=raw))
        assert (found.user_name_raw, found.session_id_raw) == (b"user", b"s1")
        assert found.nas_ip == "192.0.2.1"

    def test_what_it_was_made_of_can_be_had_again(self) -> None:
        more = {
            "NAS-IPv6-Address": "2001:db8::1",
            "Framed-IPv6-Prefix": "2001:db8:1::/48",
            "Chargeable-User-Identity": b"\0\xff",
        }
        for said in (START | more, {"Acct-Status-Type": 1, "Acct-Session-Id": "s"}):
            decoded = record_of(encode(said))
            known = identity(decoded)
            again = msgspec.structs.replace(decoded, attributes=attributes_of(known))
            assert identity(again) == known

    def test_it_survives_packing(self) -> None:
        found = identity(record_of(encode(START)))
        packed = msgspec.msgpack.encode(found)
        assert msgspec.msgpack.decode(packed, type=SessionIdentity) == found


class TestText:
    def test_utf8_stays_as_it_is(self) -> None:
        assert text("José".encode()) == "José"

    @given(st.binary(max_size=60))
    def test_any_octets_become_text_that_stores_take(self, value: bytes) -> None:
        shown = text(value)
        assert "\0" not in shown
        assert shown.encode().decode() == shown
        if b"\0" not in value and value.isascii():
            assert shown.encode() == value


def test_status_types_have_the_numbers_of_the_rfcs() -> None:
    assert {status.name: int(status) for status in AcctStatus} == {
        "START": 1,
        "STOP": 2,
        "INTERIM": 3,
        "ACCOUNTING_ON": 7,
        "ACCOUNTING_OFF": 8,
        "TUNNEL_START": 9,
        "TUNNEL_STOP": 10,
        "TUNNEL_REJECT": 11,
        "TUNNEL_LINK_START": 12,
        "TUNNEL_LINK_STOP": 13,
        "TUNNEL_LINK_REJECT": 14,
        "FAILED": 15,
    }
