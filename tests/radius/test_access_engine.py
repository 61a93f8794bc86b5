"""The authentication port without sockets: what is taken, what dropped, what is sent again."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from radius.access import Answer, Login, Unproven, mac_of
from radius.access_engine import AccessEngine, AccessRequest
from radius.clients import ClientTable
from radius.encoding import encode
from radius.engine import Intake
from radius.packet import Code
from radius.passwords import Chap, MsChap2, MsChap2Success, Pap
from radius.requests import access_request, read_reply, status_server, verify_response
from tests.radius.datagrams import NAS, NOW_MS, SECRET, client, sign

ATTRIBUTES: dict[str, Any] = {
    "User-Name": "alice@isp.example",
    "NAS-Identifier": "bng-01",
    "Acct-Session-Id": "8100A3F2",
    "Calling-Station-Id": "00-53-00-AA-BB-CC",
}


def engine(**says: Any) -> AccessEngine:
    return AccessEngine(ClientTable([msgspec.structs.replace(client(), **says)]))


def request(more: dict[str, Any] | None = None, **options: Any) -> bytes:
    fields: dict[str, Any] = {"secret": SECRET, "identifier": 7, "password": b"sesame"} | options
    return access_request(ATTRIBUTES | (more or {}), **fields)


def receive(server: AccessEngine, *datagrams: bytes, now_ms: int = NOW_MS) -> Intake[AccessRequest]:
    return server.receive([(datagram, NAS) for datagram in datagrams], now_ms)


def asked(server: AccessEngine, datagram: bytes) -> AccessRequest:
    intake = receive(server, datagram)
    assert len(intake.requests) == 1, server.drops
    return intake.requests[0]


def login(more: dict[str, Any] | None = None, **options: Any) -> Login:
    return asked(engine(), request(more, **options)).login


class TestDecoding:
    def test_a_login_agrees_with_its_accounting(self) -> None:
        found = login()
        assert (found.user_name, found.user_name_raw) == (
            "alice@isp.example",
            b"alice@isp.example",
        )
        assert (found.client, found.nas) == ("pop1", "pop1/bng-01")
        assert (found.session_id, found.station) == ("8100A3F2", "00-53-00-AA-BB-CC")
        assert not found.call_check

    def test_without_the_rest(self) -> None:
        sent = access_request({"User-Name": "u"}, secret=SECRET, identifier=1, password=b"p")
        found = asked(engine(), sent).login
        assert (found.session_id, found.station, found.nas) == ("", "", "pop1/192.0.2.10")

    def test_proofs(self) -> None:
        assert login().proof == Pap(b"sesame")
        assert isinstance(login(method="chap").proof, Chap)
        assert isinstance(login(method="mschap2").proof, MsChap2)
        assert login(password=None).proof is Unproven.NOTHING
        assert login({"EAP-Message": b"\2\1\0\4"}).proof is Unproven.EAP
        assert login({"Service-Type": 10}, password=None).call_check

    @pytest.mark.parametrize(
        "more",
        [
            {"User-Password": b"x" * 15},
            {"CHAP-Password": b"x" * 16},
            {"MS-CHAP2-Response": b"x" * 49, "MS-CHAP-Challenge": b"x" * 16},
            {"MS-CHAP2-Response": b"x" * 50},
        ],
    )
    def test_a_proof_that_cannot_be_read(self, more: dict[str, Any]) -> None:
        assert login(more, password=None).proof is Unproven.UNREADABLE

    def test_chap_without_a_challenge_uses_the_authenticator(self) -> None:
        found = login({"CHAP-Password": bytes(17)}, password=None)
        assert isinstance(found.proof, Chap)
        assert found.proof.challenge == found.attributes.authenticator

    def test_nobody_is_refused(self) -> None:
        sent = access_request({"NAS-Identifier": "n"}, secret=SECRET, identifier=1)
        server = engine()
        assert receive(server, sent).requests == []
        assert server.drops == {"refused_user_name_missing": 1}


class TestSignature:
    def test_one_that_is_wrong_is_dropped(self) -> None:
        server = engine()
        assert receive(server, request(secret=b"other")).requests == []
        assert server.drops == {"bad_message_authenticator": 1}

    def test_one_that_is_missing_is_dropped_unless_the_client_sends_none(self) -> None:
        unsigned = request(message_authenticator=False)
        server = engine()
        assert receive(server, unsigned).requests == []
        assert server.drops == {"unsigned": 1}
        asked(engine(signs_logins=False), unsigned)

    def test_proxy_state_is_never_taken_unsigned(self) -> None:
        """CVE-2024-3596: it is where a collision is hidden."""
        server = engine(signs_logins=False)
        state = {"Proxy-State": b"state"}
        assert receive(server, request(state, message_authenticator=False)).requests == []
        assert server.drops == {"unsigned_proxy_state": 1}
        asked(server, request(state))

    def test_a_wrong_one_is_dropped_also_where_none_is_asked_for(self) -> None:
        server = engine(signs_logins=False)
        assert receive(server, request(secret=b"other")).requests == []


class TestAnswers:
    def test_message_authenticator_is_first_and_proxy_states_are_last(self) -> None:
        server = engine()
        sent = request({"Proxy-State": [b"one", b"two"]})
        waiting = asked(server, sent)
        waiting.answer = Answer(accepted=True, attributes=(encode("Session-Timeout", 60),))
        reply, address = server.answer(waiting, NOW_MS)
        assert (reply[0], reply[1], address) == (Code.ACCESS_ACCEPT, 7, NAS)
        assert reply[20] == 80
        found = read_reply(sent, reply, secret=SECRET)
        assert (found["Session-Timeout"], found["Proxy-State"]) == ([60], [b"one", b"two"])
        assert list(found)[-1] == "Proxy-State"
        assert server.answers == {"accept": 1}

    def test_a_reject(self) -> None:
        server = engine()
        sent = request()
        waiting = asked(server, sent)
        waiting.answer = Answer(accepted=False, attributes=(encode("Reply-Message", "no"),))
        reply, _ = server.answer(waiting, NOW_MS)
        assert reply[0] == Code.ACCESS_REJECT
        assert read_reply(sent, reply, secret=SECRET)["Reply-Message"] == ["no"]

    def test_eap_is_answered_by_eap_failure(self) -> None:
        """RFC 3579 s2.6.3: or the peer would wait."""
        server = engine()
        sent = request({"EAP-Message": b"\x02\x2a\x00\x04"})
        waiting = asked(server, sent)
        waiting.answer = Answer(accepted=False)
        reply, _ = server.answer(waiting, NOW_MS)
        assert read_reply(sent, reply, secret=SECRET)["EAP-Message"] == [b"\x04\x2a\x00\x04"]

    def test_keys_have_different_salts(self) -> None:
        server = engine()
        sent = request()
        waiting = asked(server, sent)
        waiting.answer = Answer(True, (), MsChap2Success(b"\7S=AB", bytes(16), bytes(16)))
        found = read_reply(sent, server.answer(waiting, NOW_MS)[0], secret=SECRET)
        [send], [receive_] = found["MS-MPPE-Send-Key"], found["MS-MPPE-Recv-Key"]
        assert send[:2] != receive_[:2]

    def test_a_retransmission_gets_the_same_octets(self) -> None:
        server = engine()
        sent = request()
        waiting = asked(server, sent)
        assert receive(server, sent).requests == []
        assert server.drops == {"duplicate_in_flight": 1}
        waiting.answer = Answer(accepted=True)
        reply, _ = server.answer(waiting, NOW_MS)
        assert receive(server, sent).replies == [(reply, NAS)]
        assert server.answers["duplicate"] == 1
        later = receive(server, sent, now_ms=NOW_MS + 30_001)
        assert len(later.requests) == 1, "forgotten by then"

    def test_one_that_is_given_up_is_new_when_it_comes_again(self) -> None:
        server = engine()
        sent = request()
        server.abandon(asked(server, sent))
        asked(server, sent)
        assert server.requests_remembered == 1

    def test_the_same_identifier_with_another_authenticator_is_another_login(self) -> None:
        """As openvpn-auth-radius resends."""
        server = engine()
        asked(server, request())
        asked(server, request())


class TestOthers:
    def test_status_server_is_answered_by_an_accept(self) -> None:
        server = engine()
        sent = status_server(secret=SECRET, identifier=9)
        [(reply, _)] = receive(server, sent).replies
        assert reply[0] == Code.ACCESS_ACCEPT
        assert verify_response(sent, reply, secret=SECRET)
        assert server.answers == {"status_server": 1}

    def test_accounting_belongs_to_the_other_port(self) -> None:
        server = engine()
        assert receive(server, sign(b"")).requests == []
        assert server.drops == {"unsupported_code": 1}

    def test_a_stranger_gets_no_answer(self) -> None:
        server = engine()
        intake = server.receive([(request(), ("203.0.113.1", 1))], NOW_MS)
        assert (intake.requests, intake.replies) == ([], [])
        assert server.drops == {"unknown_client": 1}

    @given(st.binary(max_size=200))
    def test_nothing_raises(self, octets: bytes) -> None:
        server = engine(signs_logins=False)
        header = b"\x01\x07" + (len(octets) + 20).to_bytes(2) + bytes(16)
        receive(server, octets, header + octets)


@pytest.mark.parametrize(
    "text", ["00:53:00:AA:BB:CC", "00-53-00-aa-bb-cc", "0053.00aa.bbcc", "005300AABBCC"]
)
def test_a_mac_address_is_the_same_however_it_is_written(text: str) -> None:
    assert mac_of(text) == "005300aabbcc"


@pytest.mark.parametrize("text", ["", "alice", "00:53:00:aa:bb", "00:53:00:aa:bb:cc:dd", "g" * 12])
def test_what_is_no_mac_address(text: str) -> None:
    assert mac_of(text) is None
