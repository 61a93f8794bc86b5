"""The pyrad encoder that the simulated fleet uses, and its checks of replies."""

import pytest

from radius import packet
from radius.dynauth import disconnect_request
from radius.packet import Code, Packet, parse
from radius.profiles import CoaRules
from radius.requests import (
    accounting_request,
    dynamic_reply,
    read_dynamic_request,
    status_server,
    verify_response,
)
from tests.radius.datagrams import INTERIM, NOW, SECRET, raw_attributes, sign

RULES = CoaRules(port=3799, message_authenticator=True, event_timestamp=True)
REQUEST = disconnect_request(
    ((1, b"user"), (44, b"s1"), (250, b"unknown")),
    identifier=3,
    secret=SECRET,
    rules=RULES,
    event_time=NOW,
)


class TestAccountingRequest:
    def test_repeated_values_follow_each_other(self) -> None:
        datagram = accounting_request({"Class": [b"a", b"b"]}, secret=SECRET, identifier=9)
        found = parse(datagram)
        assert isinstance(found, Packet)
        assert (found.code, found.identifier) == (Code.ACCOUNTING_REQUEST, 9)
        assert found.values(25) == (b"a", b"b")
        assert packet.verify_accounting(datagram, SECRET)

    def test_a_message_authenticator_is_added_on_demand(self) -> None:
        plain = accounting_request(INTERIM, secret=SECRET, identifier=9)
        signed = accounting_request(
            INTERIM, secret=SECRET, identifier=9, message_authenticator=True
        )
        assert len(signed) == len(plain) + 18

    def test_an_unknown_name_and_an_impossible_value_are_refused(self) -> None:
        with pytest.raises(KeyError):
            accounting_request({"No-Such-Attribute": 1}, secret=SECRET, identifier=1)
        with pytest.raises(ValueError, match="out of range"):
            accounting_request({"NAS-Port": 2**32}, secret=SECRET, identifier=1)


class TestVerifyResponse:
    REQUEST = accounting_request(INTERIM, secret=SECRET, identifier=9)
    REPLY = packet.accounting_response(9, REQUEST[4:20], (), SECRET)

    def test_a_genuine_reply(self) -> None:
        assert verify_response(self.REQUEST, self.REPLY, secret=SECRET)

    @pytest.mark.parametrize(
        "reply",
        [
            b"",
            b"\5\t",
            packet.accounting_response(8, REQUEST[4:20], (), SECRET),
            packet.accounting_response(9, REQUEST[4:20], (), b"other"),
            packet.accounting_response(9, bytes(16), (), SECRET),
        ],
    )
    def test_other_replies(self, reply: bytes) -> None:
        assert not verify_response(self.REQUEST, reply, secret=SECRET)

    def test_a_status_server_is_answered_under_its_secret(self) -> None:
        request = status_server(secret=SECRET, identifier=4)
        reply = packet.status_response(Code.ACCESS_ACCEPT, 4, request[4:20], SECRET)
        assert verify_response(request, reply, secret=SECRET)
        assert not verify_response(request, reply, secret=b"other")


class TestDynamicRequest:
    def test_a_nas_reads_what_it_knows(self) -> None:
        found = read_dynamic_request(REQUEST, secret=SECRET)
        assert found is not None
        assert found.code == Code.DISCONNECT_REQUEST
        assert found.has_unknown
        assert found.attributes.pop("Message-Authenticator")
        assert found.attributes == {
            "User-Name": ["user"],
            "Acct-Session-Id": ["s1"],
            "Event-Timestamp": [NOW],
        }

    @pytest.mark.parametrize(
        "datagram",
        [
            b"",
            REQUEST[:-1],
            REQUEST[:-1] + b"x",
            sign(b"", code=Code.ACCOUNTING_REQUEST),
            sign(raw_attributes([(80, bytes(16))]), code=Code.DISCONNECT_REQUEST),
            sign(raw_attributes([(5, b"x")]), code=Code.DISCONNECT_REQUEST),
        ],
    )
    def test_a_nas_drops_everything_else(self, datagram: bytes) -> None:
        assert read_dynamic_request(datagram, secret=SECRET) is None

    @pytest.mark.parametrize("code", [Code.DISCONNECT_REQUEST, Code.COA_REQUEST])
    def test_ack_and_nak_have_the_codes_after_the_request(self, code: Code) -> None:
        request = sign(b"", code=code)
        ack = dynamic_reply(request, secret=SECRET, ack=True)
        nak = dynamic_reply(request, secret=SECRET, ack=False, error_cause=503)
        assert (ack[0], nak[0]) == (code + 1, code + 2)
        assert packet.verify_response(nak, request[4:20], SECRET)
        found = parse(nak)
        assert isinstance(found, Packet)
        assert found.attributes == {101: (503).to_bytes(4)}
