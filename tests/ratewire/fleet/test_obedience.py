"""Disconnect- and CoA-Requests as a strict NAS takes them (RFC 5176)."""

from collections.abc import Sequence
from typing import Any

import pytest

from radius import attributes as attr
from radius import packet
from radius.dynauth import ErrorCause, coa_request, disconnect_request
from radius.packet import Code, Packet, parse
from radius.profiles import CoaRules
from ratewire.fleet.obedience import REMEMBERED_S, WINDOW_S, Change, Obedience, Told
from ratewire.fleet.subscriber import LiveSession, Subscriber
from tests.ratewire.fleet.wire import NOW, SECRET

Attributes = Sequence[tuple[int, bytes]]

USER, SESSION, ADDRESS, STATION, IDENTIFIER, NAS = 1, 44, 8, 31, 32, 4
TIMEOUT, FILTER, CLASS, CAUSE, MESSAGE, PROXY_STATE, SERVICE = 27, 11, 25, 49, 18, 33, 6

SOURCE = ("127.0.0.1", 40_000)

_RULES = CoaRules(port=3799, message_authenticator=True, event_timestamp=True)


def session(name: str, number: int, session_id: str) -> LiveSession:
    """A session that is up."""
    subscriber = Subscriber(name, number, 20.0, 1)
    return LiveSession(
        subscriber=subscriber,
        session_id=session_id,
        began=NOW - 10,
        ends=NOW + 1000,
        down=1000,
        up=100,
        counted=NOW,
    )


class Nas:
    """A NAS with sessions of alice and (two) of bob, and the datagrams for it."""

    def __init__(self) -> None:
        self.obedience = Obedience("sim-1", "127.96.0.1", SECRET)
        alice, bob = session("alice", 0, "a"), session("bob", 1, "b1")
        again = session("bob", 2, "b2")
        self.alice, self.sessions = alice, {each.session_id: each for each in (alice, bob, again)}

    def disconnect(self, *attributes: tuple[int, bytes], **changes: Any) -> Told:
        """What comes of a Disconnect-Request."""
        return self.take(request(disconnect_request, attributes, **changes))

    def coa(self, *attributes: tuple[int, bytes], **changes: Any) -> Told:
        """What comes of a CoA-Request for alice's session."""
        made = request(coa_request, ((USER, b"alice"),), attributes, **changes)
        return self.take(made)

    def take(self, datagram: bytes, *, source: object = SOURCE, now: float = NOW) -> Told:
        """What comes of a datagram."""
        return self.obedience.take(datagram, source, self.sessions, now)


def request(
    encode: Any,
    *attributes: Attributes,
    secret: bytes = SECRET,
    event_time: float = NOW,
    rules: CoaRules = _RULES,
) -> bytes:
    """A request, by our own encoder."""
    return encode(*attributes, identifier=7, secret=secret, rules=rules, event_time=int(event_time))


def reply_of(told: Told) -> Packet:
    """The reply, decoded."""
    assert told.reply is not None
    found = parse(told.reply)
    assert isinstance(found, Packet)
    return found


def refusal(told: Told) -> ErrorCause | None:
    """Why a request was refused, by the reply and by what is told alike."""
    reply = reply_of(told)
    assert reply.code in (Code.DISCONNECT_NAK, Code.COA_NAK)
    assert told.obeyed is None
    cause = reply.get(attr.ERROR_CAUSE)
    assert cause is not None
    assert int.from_bytes(cause) == told.refused
    return told.refused


@pytest.fixture
def nas() -> Nas:
    """A NAS with three sessions."""
    return Nas()


class TestIdentification:
    @pytest.mark.parametrize(
        "attributes",
        [
            [(USER, b"alice")],
            [(SESSION, b"a")],
            [(ADDRESS, bytes([100, 64, 0, 1]))],
            [(STATION, b"02-00-00-00-00-00")],
            [(USER, b"alice"), (SESSION, b"a"), (IDENTIFIER, b"sim-1")],
            [(SESSION, b"a"), (NAS, bytes([127, 96, 0, 1])), (STATION, b"02-00-00-00-00-00")],
        ],
    )
    def test_any_attributes_that_all_fit_one_session_name_it(
        self, nas: Nas, attributes: Attributes
    ) -> None:
        told = nas.disconnect(*attributes)
        assert reply_of(told).code == Code.DISCONNECT_ACK
        assert told.obeyed is not None
        assert told.obeyed.session is nas.alice
        assert told.obeyed.change is None

    @pytest.mark.parametrize(
        ("attributes", "cause"),
        [
            ([(USER, b"carol")], 503),
            ([(SESSION, b"c")], 503),
            ([(SESSION, b"\xff\xfe")], 503),
            ([(USER, b"bob"), (SESSION, b"a")], 503),
            ([(SESSION, b"a"), (ADDRESS, bytes(4))], 503),
            ([(USER, b"bob")], 508),
            ([], 402),
            ([(IDENTIFIER, b"sim-1")], 402),
            ([(SESSION, b"a"), (IDENTIFIER, b"sim-2")], 403),
            ([(SESSION, b"a"), (NAS, bytes([127, 96, 0, 2]))], 403),
            ([(SESSION, b"a"), (SESSION, b"a")], 404),
            ([(SESSION, b"a"), (IDENTIFIER, b"sim-1"), (IDENTIFIER, b"sim-1")], 404),
        ],
    )
    def test_otherwise_nothing_is_done(self, nas: Nas, attributes: Attributes, cause: int) -> None:
        assert refusal(nas.disconnect(*attributes)) == cause
        assert (
            refusal(Nas().take(request(coa_request, attributes, ((TIMEOUT, bytes(4)),)))) == cause
        )


class TestDisconnect:
    @pytest.mark.parametrize(
        ("attribute", "cause"),
        [
            ((TIMEOUT, bytes(4)), 401),
            ((FILTER, b"100"), 401),
            ((5, bytes(4)), 401),
            ((24, b"state"), 401),
            ((26, b"\0\0\0\x09\x01\x05abc"), 401),
            ((250, b"unknown"), 401),
            ((SERVICE, (17).to_bytes(4)), 405),
        ],
    )
    def test_it_may_carry_nothing_else(
        self, nas: Nas, attribute: tuple[int, bytes], cause: int
    ) -> None:
        assert refusal(nas.disconnect((SESSION, b"a"), attribute)) == cause

    def test_but_what_the_table_allows(self, nas: Nas) -> None:
        told = nas.disconnect(
            (SESSION, b"a"), (MESSAGE, b"pay"), (MESSAGE, b"now"), (CAUSE, (6).to_bytes(4))
        )
        assert reply_of(told).code == Code.DISCONNECT_ACK

    def test_class_is_for_the_stop(self, nas: Nas) -> None:
        told = nas.disconnect((SESSION, b"a"), (CLASS, b"\xff1"), (CLASS, b"2"))
        assert told.obeyed is not None
        assert told.obeyed.classes == (b"\xff1", b"2")


class TestChangeOfAuthorization:
    @pytest.mark.parametrize(
        ("attributes", "change"),
        [
            ([(TIMEOUT, (60).to_bytes(4))], Change(60)),
            ([(TIMEOUT, bytes(4))], Change(0)),
            ([(FILTER, b"1000/200")], Change(None, down=125_000, up=25_000)),
            ([(FILTER, b"64")], Change(None, down=8_000, up=8_000)),
            ([(FILTER, b"0"), (TIMEOUT, (9).to_bytes(4))], Change(9, down=0, up=0)),
            ([(CLASS, b"new")], Change()),
        ],
    )
    def test_it_changes_what_it_says(
        self, nas: Nas, attributes: Attributes, change: Change
    ) -> None:
        told = nas.coa(*attributes)
        assert reply_of(told).code == Code.COA_ACK
        assert told.obeyed is not None
        assert (told.obeyed.session, told.obeyed.change) == (nas.alice, change)

    @pytest.mark.parametrize(
        ("attributes", "cause"),
        [
            ([], 402),
            ([(MESSAGE, b"hello")], 402),
            ([(FILTER, b"fast")], 407),
            ([(FILTER, b"")], 407),
            ([(FILTER, b"-1")], 407),
            ([(FILTER, b"1/2/3")], 407),
            ([(FILTER, b"12345678")], 407),
            ([(FILTER, "٣".encode())], 407),
            ([(FILTER, b"\xff")], 407),
            ([(FILTER, b"fast"), (TIMEOUT, bytes(4))], 407),
            ([(TIMEOUT, bytes(4)), (TIMEOUT, bytes(4))], 404),
            ([(FILTER, b"1"), (FILTER, b"2")], 404),
            ([(TIMEOUT, bytes(4)), (28, bytes(4))], 401),
            ([(TIMEOUT, bytes(4)), (CAUSE, (6).to_bytes(4))], 401),
            ([(TIMEOUT, bytes(4)), (250, b"x")], 401),
            ([(SERVICE, (17).to_bytes(4)), (24, b"state")], 405),
        ],
    )
    def test_it_changes_all_of_it_or_nothing(
        self, nas: Nas, attributes: Attributes, cause: int
    ) -> None:
        assert refusal(nas.coa(*attributes)) == cause


class TestReply:
    @pytest.mark.parametrize("user", [b"alice", b"carol"])
    def test_it_is_signed_and_returns_proxy_state(self, nas: Nas, user: bytes) -> None:
        made = request(
            disconnect_request, ((USER, user), (PROXY_STATE, b"p1"), (PROXY_STATE, b"p2"))
        )
        told = nas.take(made)
        assert told.reply is not None
        assert told.reply[1] == made[1]
        assert packet.verify_response(told.reply, made[4:20], SECRET)
        assert reply_of(told).values(PROXY_STATE) == (b"p1", b"p2")

    def test_without_message_authenticator_and_timestamp_it_is_taken_as_well(
        self, nas: Nas
    ) -> None:
        plain = CoaRules(port=3799, message_authenticator=False, event_timestamp=False)
        assert nas.disconnect((SESSION, b"a"), rules=plain).obeyed is not None


class TestReplay:
    REQUEST = request(disconnect_request, ((SESSION, b"a"),))

    def test_a_copy_is_answered_from_memory_and_not_done_again(self, nas: Nas) -> None:
        first = nas.take(self.REQUEST)
        del nas.sessions["a"]
        again = nas.take(self.REQUEST, now=NOW + 10)
        assert again == Told(first.reply, repeated=True)

    def test_memory_lasts_as_long_as_a_copy_is_fresh(self, nas: Nas) -> None:
        ahead = request(disconnect_request, ((SESSION, b"a"),), event_time=NOW + WINDOW_S)
        nas.take(ahead)
        assert nas.take(ahead, now=NOW + 2 * WINDOW_S).repeated
        assert nas.take(ahead, now=NOW + 2 * WINDOW_S + 1) == Told(None)

    def test_and_is_given_up_then(self, nas: Nas) -> None:
        plain = CoaRules(port=3799, message_authenticator=False, event_timestamp=False)
        made = request(disconnect_request, ((SESSION, b"a"),), rules=plain)
        nas.take(made)
        assert nas.take(made, now=NOW + REMEMBERED_S).repeated
        assert not nas.take(made, now=NOW + REMEMBERED_S + 1).repeated

    def test_from_another_port_it_is_another_request(self, nas: Nas) -> None:
        nas.take(self.REQUEST)
        assert not nas.take(self.REQUEST, source=("127.0.0.1", 40_001)).repeated

    def test_a_refusal_is_remembered_too(self, nas: Nas) -> None:
        made = request(disconnect_request, ((SESSION, b"new"),))
        first = nas.take(made)
        nas.sessions["new"] = session("carol", 9, "new")
        assert nas.take(made).reply == first.reply

    @pytest.mark.parametrize("off", [-WINDOW_S - 1, WINDOW_S + 1])
    def test_a_stale_request_is_dropped(self, nas: Nas, off: float) -> None:
        assert nas.disconnect((SESSION, b"a"), event_time=NOW + off) == Told(None)

    @pytest.mark.parametrize("off", [-WINDOW_S, WINDOW_S])
    def test_a_clock_may_be_off_a_little(self, nas: Nas, off: float) -> None:
        assert nas.disconnect((SESSION, b"a"), event_time=NOW + off).obeyed is not None

    @pytest.mark.parametrize(
        "forged",
        [
            pytest.param(request(disconnect_request, ((SESSION, b"a"),), secret=b"x"), id="secret"),
            pytest.param(REQUEST[:-1] + bytes([REQUEST[-1] ^ 1]), id="attribute"),
            pytest.param(REQUEST[:4] + bytes(16) + REQUEST[20:], id="authenticator"),
            pytest.param(bytes([Code.DISCONNECT_ACK]) + REQUEST[1:], id="code"),
            pytest.param(REQUEST[:-3], id="short"),
            pytest.param(b"", id="empty"),
        ],
    )
    def test_what_is_not_genuine_is_dropped(self, nas: Nas, forged: bytes) -> None:
        assert nas.take(forged) == Told(None)
        nas.take(self.REQUEST)
        assert nas.take(forged) == Told(None)
