"""rlm_rest's JSON, both shapes of it, and what is made of it."""

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radius.access import Answer
from radius.encoding import encode
from radius.packet import Code
from ratewire.access.rest import RestError, answer_body, check_counters, control, packet_of


def typed(**values: Any) -> dict[str, Any]:
    """The default encoder's shape; underscores stand for hyphens."""
    return {
        name.replace("_", "-"): {
            "type": "string",
            "value": value if isinstance(value, list) else [value],
        }
        for name, value in values.items()
    }


def test_the_default_encoders_shape() -> None:
    body = typed(
        User_Name="jörg",
        NAS_IP_Address="192.0.2.7",
        Acct_Status_Type="Interim-Update",
        Acct_Output_Gigawords=3,
        Event_Timestamp="Nov 28 2026 09:00:00 UTC",
        Class=["0x7277", "0xff00"],
        Acct_Terminate_Cause="Session-Timeout",
        NAS_Port_Type="Virtual",
        Tunnel_Medium_Type="IPv4",
    )
    parsed = packet_of(body, Code.ACCOUNTING_REQUEST)
    assert parsed.get(1) == "jörg".encode()
    assert parsed.get(4) == bytes((192, 0, 2, 7))
    assert parsed.get(40) == (3).to_bytes(4)
    assert parsed.get(53) == (3).to_bytes(4)
    assert parsed.get(55) == (1_795_856_400).to_bytes(4)
    assert parsed.values(25) == (b"rw", b"\xff\x00")
    assert parsed.get(49) == (5).to_bytes(4)
    assert parsed.get(61) is None, "a name that nothing here reads"


def test_the_flat_shape_with_openwisps_names() -> None:
    body = {
        "username": "bob",
        "status_type": "Stop",
        "session_id": "s1",
        "nas_ip_address": "192.0.2.7",
        "input_octets": "5",
        "input_gigawords": "0",
        "called_station_id": "",
        "unique_id": "abc",
    }
    parsed = packet_of(body, Code.ACCOUNTING_REQUEST)
    assert (parsed.get(1), parsed.get(44)) == (b"bob", b"s1")
    assert (parsed.get(40), parsed.get(42)) == ((2).to_bytes(4), (5).to_bytes(4))
    assert parsed.get(30) is None


def test_counters_that_a_template_cuts_are_refused() -> None:
    """OpenWISP's own template has no Gigawords: it counts modulo 4 GiB."""
    with pytest.raises(RestError, match="Gigawords"):
        check_counters({"input_octets": 5, "output_octets": 5, "event_timestamp": 1})
    with pytest.raises(RestError, match="Event-Timestamp"):
        check_counters({"input_octets": 5, "input_gigawords": 0})
    check_counters({"input_octets": 5, "input_gigawords": 0, "event_timestamp": 1})
    check_counters({"username": "bob"})
    check_counters(typed(Acct_Input_Octets=5))


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ([], "JSON object"),
        ({"NAS-IP-Address": "here"}, "NAS-IP-Address"),
        ({"Acct-Session-Time": -1}, "Acct-Session-Time"),
        ({"Event-Timestamp": "yesterday"}, "Event-Timestamp"),
        ({"User-Name": "x" * 254}, "User-Name"),
        ({"Class": ["x" * 250] * 20}, "longer than a packet"),
    ],
)
def test_what_is_no_request_says_why(body: object, fault: str) -> None:
    with pytest.raises(RestError, match=fault):
        packet_of(body, Code.ACCESS_REQUEST)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(st.sampled_from(["User-Name", "value", "Class", "x"]), inner)
        ),
        max_leaves=10,
    )
)
def test_whatever_json_comes_is_a_packet_or_a_fault(body: object) -> None:
    with contextlib.suppress(RestError):
        packet_of(body, Code.ACCESS_REQUEST)


def test_an_answer_is_written_for_the_reply_list_without_expansion() -> None:
    answer = Answer(
        True,
        (
            encode("Class", b"\1\2"),
            encode("Session-Timeout", 60),
            encode("Framed-IP-Address", "198.51.100.7"),
            encode("Mikrotik-Rate-Limit", "1k/2k"),
            encode("Cisco-AVPair", "a"),
            encode("Cisco-AVPair", "b"),
        ),
    )
    body = answer_body(answer)
    assert {name: entry["value"] for name, entry in body.items()} == {
        "reply:Class": ["0x0102"],
        "reply:Session-Timeout": [60],
        "reply:Framed-IP-Address": ["198.51.100.7"],
        "reply:Mikrotik-Rate-Limit": ["1k/2k"],
        "reply:Cisco-AVPair": ["a", "b"],
    }
    assert all(entry["do_xlat"] is False for entry in body.values())
    assert control(Auth_Type="Accept")["control:Auth-Type"]["do_xlat"] is False
