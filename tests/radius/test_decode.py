"""From packets to records: every field, the rules for absent and odd values, and pyrad's view."""

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyrad.packet import AcctPacket

from radius.clients import Client
from radius.decode import EVENT_FUTURE_SECONDS, EVENT_PAST_SECONDS, IgnoredStatus, decode
from radius.dictionary import load_dictionary
from radius.packet import Fault, Packet, parse
from radius.records import AccountingRecord, AcctStatus
from tests.radius.datagrams import (
    INTERIM,
    NAS,
    NOW,
    NOW_MS,
    SECRET,
    START,
    STOP,
    client,
    encode,
    raw_attributes,
    sign,
)


def outcome(
    datagram: bytes, *, by: Client | None = None
) -> AccountingRecord | IgnoredStatus | Fault:
    packet = parse(datagram)
    assert isinstance(packet, Packet), packet
    return decode(packet, by or client(), *NAS, NOW_MS)


def record(datagram: bytes, *, by: Client | None = None) -> AccountingRecord:
    found = outcome(datagram, by=by)
    assert isinstance(found, AccountingRecord), found
    return found


class TestWholeRecords:
    def test_a_stop(self) -> None:
        datagram = encode(STOP | {"Class": [b"a", b"b"]})
        packet = parse(datagram)
        assert isinstance(packet, Packet)
        assert record(datagram) == AccountingRecord(
            status=2,
            session_id="8100A3F2-00001C42",
            user_name="user0001@isp.example",
            client="pop1",
            nas="pop1/bng-01",
            source_host="192.0.2.10",
            source_port=49152,
            session_seconds=600,
            octets_in=(1 << 32) + 123_456_789,
            octets_out=(7 << 32) + 987_654_321,
            has_gigawords=True,
            event_time=NOW - 2,
            arrived_ms=NOW_MS,
            terminate_cause=1,
            attributes=packet,
            classes=(b"a", b"b"),
        )

    def test_a_start_without_counters_has_none_rather_than_zero(self) -> None:
        found = record(encode(START))
        assert found.status == AcctStatus.START
        assert (found.octets_in, found.octets_out, found.session_seconds) == (None, None, None)
        assert not found.has_gigawords
        assert found.terminate_cause is None

    def test_a_counter_of_zero_is_zero(self) -> None:
        found = record(encode(START | {"Acct-Input-Octets": 0, "Acct-Session-Time": 0}))
        assert (found.octets_in, found.octets_out, found.session_seconds) == (0, None, 0)


class TestCounters:
    @pytest.mark.parametrize(
        ("octets", "gigawords", "expected"),
        [
            (0xFFFFFFFF, None, 0xFFFFFFFF),
            (0xFFFFFFFF, 0, 0xFFFFFFFF),
            (0, 1, 1 << 32),
            (1, 1, (1 << 32) + 1),
            (None, 3, 3 << 32),
            (0xFFFFFFFF, 0xFFFFFFFF, (1 << 64) - 1),
            (None, None, None),
        ],
    )
    def test_gigawords_are_the_upper_half(
        self, octets: int | None, gigawords: int | None, expected: int | None
    ) -> None:
        """RFC 2869 s5.1, around 2^32 and at the ends, for both directions."""
        for direction, name in (("Input", "octets_in"), ("Output", "octets_out")):
            changes: dict[str, Any] = {
                f"Acct-{direction}-Octets": octets,
                f"Acct-{direction}-Gigawords": gigawords,
            }
            present = {key: value for key, value in changes.items() if value is not None}
            found = record(encode(START | present))
            assert getattr(found, name) == expected
            assert found.has_gigawords is (gigawords is not None)

    def test_a_client_that_swaps_gets_its_directions_exchanged(self) -> None:
        straight = record(encode(INTERIM))
        swapped = record(encode(INTERIM), by=client(swap_octets=True))
        assert (swapped.octets_in, swapped.octets_out) == (straight.octets_out, straight.octets_in)

    def test_larger_units_are_made_octets_of_64_bits_at_most(self) -> None:
        by = msgspec.structs.replace(client(), octet_unit=1024)
        found = record(
            encode(START | {"Acct-Input-Octets": 3, "Acct-Output-Gigawords": 2**32 - 1}), by=by
        )
        assert (found.octets_in, found.octets_out) == (3 * 1024, 2**64 - 1)

    def test_input_is_what_came_from_the_user(self) -> None:
        """RFC 2866 s5.3: Input is received from the port, the subscriber's upload."""
        found = record(encode(START | {"Acct-Input-Octets": 1, "Acct-Output-Octets": 2}))
        assert (found.octets_in, found.octets_out) == (1, 2)


class TestEventTime:
    @pytest.mark.parametrize(
        ("timestamp", "delay", "expected"),
        [
            (NOW - 10, None, NOW - 10),
            (NOW - 10, 500, NOW - 10),
            (NOW + EVENT_FUTURE_SECONDS, 5, NOW + EVENT_FUTURE_SECONDS),
            (NOW + EVENT_FUTURE_SECONDS + 1, 5, NOW - 5),
            (NOW - EVENT_PAST_SECONDS, 5, NOW - EVENT_PAST_SECONDS),
            (NOW - EVENT_PAST_SECONDS - 1, 5, NOW - 5),
            (0, None, NOW),
            (0xFFFFFFFF, None, NOW),
            (None, 0, NOW),
            (None, 3600, NOW - 3600),
            (None, EVENT_PAST_SECONDS + 1, NOW - EVENT_PAST_SECONDS),
            (None, 0xFFFFFFFF, NOW - EVENT_PAST_SECONDS),
            (None, None, NOW),
        ],
    )
    def test_the_timestamp_if_believable_else_arrival_minus_delay(
        self, timestamp: int | None, delay: int | None, expected: int
    ) -> None:
        datagram = encode(Event_Timestamp=timestamp, Acct_Delay_Time=delay)
        assert record(datagram).event_time == expected


class TestNas:
    @pytest.mark.parametrize(
        ("changes", "expected"),
        [
            ({}, "pop1/bng-01"),
            ({"NAS_Identifier": None}, "pop1/192.0.2.10"),
            ({"NAS_Identifier": ""}, "pop1/192.0.2.10"),
            ({"NAS_Identifier": None, "NAS_IP_Address": "10.9.8.7"}, "pop1/10.9.8.7"),
            (
                {
                    "NAS_Identifier": None,
                    "NAS_IP_Address": None,
                    "NAS_IPv6_Address": "2001:db8::5",
                },
                "pop1/2001:db8::5",
            ),
            ({"NAS_Identifier": None, "NAS_IP_Address": None}, "pop1/192.0.2.10"),
            ({"NAS_Identifier": b"\xff"}, "pop1/\\xff"),
        ],
    )
    def test_the_scope_key_is_the_client_and_how_the_nas_names_itself(
        self, changes: dict[str, Any], expected: str
    ) -> None:
        assert record(encode(**changes)).nas == expected


class TestStatus:
    @pytest.mark.parametrize("status", [7, 8])
    @pytest.mark.parametrize("session_id", [None, "", "00000001"])
    def test_on_and_off_need_no_session_id(self, status: int, session_id: str | None) -> None:
        found = record(encode(START, Acct_Status_Type=status, Acct_Session_Id=session_id))
        assert (found.status, found.session_id) == (status, session_id or "")

    @pytest.mark.parametrize("status", [0, 4, 6, 9, 10, 11, 12, 13, 14, 15, 16, 0xFFFFFFFF])
    def test_tunnel_failed_and_unknown_types_give_no_record(self, status: int) -> None:
        assert outcome(encode(Acct_Status_Type=status)) == IgnoredStatus(status)
        assert outcome(encode({"Acct-Status-Type": status})) == IgnoredStatus(status)

    def test_a_packet_without_a_status_type_is_refused(self) -> None:
        found = outcome(encode(Acct_Status_Type=None))
        assert found == Fault(
            "refused_acct_status_type_missing",
            "Acct-Status-Type: none in the packet; allowed is one",
        )

    @pytest.mark.parametrize("status", [1, 2, 3])
    @pytest.mark.parametrize("session_id", [None, ""])
    def test_a_session_needs_an_id(self, status: int, session_id: str | None) -> None:
        found = outcome(encode(Acct_Status_Type=status, Acct_Session_Id=session_id))
        assert isinstance(found, Fault)
        assert found.reason == "refused_acct_session_id_missing"


class TestTexts:
    def test_an_empty_user_name_is_none(self) -> None:
        """RFC 2865 s5 forbids empty text, so nothing is meant by it."""
        assert record(encode(User_Name="")).user_name is None
        assert record(encode(User_Name=None)).user_name is None

    def test_the_first_of_two_counts(self) -> None:
        octets = raw_attributes([(40, (3).to_bytes(4)), (44, b"first"), (44, b"second")])
        assert record(sign(octets)).session_id == "first"


U32 = st.integers(0, 2**32 - 1)
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=60)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "string": TEXT,
    "integer": U32,
    "date": U32,
    "octets": st.binary(min_size=1, max_size=60).filter(lambda value: not value.startswith(b"0x")),
    "ipaddr": st.ip_addresses(v=4).map(str),
    "ipv6addr": st.ip_addresses(v=6).map(str),
    "ipv6prefix": st.tuples(st.ip_addresses(v=6), st.integers(0, 128)).map(
        lambda pair: f"{pair[0]}/{pair[1]}"
    ),
    "ifid": st.binary(min_size=8, max_size=8),
}


@st.composite
def requests(draw: st.DrawFn) -> dict[str, Any]:
    """Accounting-Requests with any standard attributes of ours, in any order."""
    known = load_dictionary().attributes
    names = sorted(set(known) - {"Message-Authenticator", "Acct-Status-Type"})
    chosen = draw(st.lists(st.sampled_from(names), unique=True, max_size=20))
    attributes = {name: draw(VALUES[known[name].type]) for name in chosen}
    attributes["Acct-Session-Id"] = draw(TEXT)
    attributes["Acct-Status-Type"] = draw(st.sampled_from([1, 2, 3, 7, 8]))
    attributes["Class"] = draw(st.lists(VALUES["octets"], max_size=3))
    return {name: attributes[name] for name in draw(st.permutations(list(attributes)))}


@settings(max_examples=600, deadline=None)
@given(requests())
def test_pyrad_and_we_read_the_same_values(attributes: dict[str, Any]) -> None:
    """What pyrad encodes, we decode to the values that pyrad decodes."""
    datagram = encode(attributes)
    found = record(datagram)
    theirs = AcctPacket(packet=datagram, secret=SECRET, dict=load_dictionary())
    assert theirs.VerifyAcctRequest()

    def value(name: str, absent: Any = None) -> Any:
        return theirs[name][0] if name in theirs else absent

    def octets(direction: str) -> int | None:
        low, high = value(f"Acct-{direction}-Octets"), value(f"Acct-{direction}-Gigawords")
        return None if low is None and high is None else ((high or 0) << 32) + (low or 0)

    nas = value("NAS-Identifier") or value("NAS-IP-Address") or value("NAS-IPv6-Address")
    assert found.status == value("Acct-Status-Type")
    assert found.session_id == value("Acct-Session-Id")
    assert found.user_name == value("User-Name")
    assert found.session_seconds == value("Acct-Session-Time")
    assert found.terminate_cause == value("Acct-Terminate-Cause")
    assert (found.octets_in, found.octets_out) == (octets("Input"), octets("Output"))
    assert found.has_gigawords is any(
        f"Acct-{way}-Gigawords" in theirs for way in ("Input", "Output")
    )
    assert found.nas == f"pop1/{nas or NAS[0]}"
    assert list(found.classes) == theirs.get("Class", [])
    timestamp = value("Event-Timestamp", 0)
    if NOW - EVENT_PAST_SECONDS <= timestamp <= NOW + EVENT_FUTURE_SECONDS:
        assert found.event_time == timestamp
    else:
        delay = min(value("Acct-Delay-Time", 0), EVENT_PAST_SECONDS)
        assert found.event_time == NOW - delay
