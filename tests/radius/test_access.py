"""What an Access-Request holds and how it is answered is shown with the engine around it."""

from radius.access import Answer, answer_octets
from radius.access_engine import AccessRequest
from radius.encoding import encode
from radius.passwords import MsChap2Success
from tests.radius.datagrams import NOW_MS, SECRET
from tests.radius.test_access_engine import asked, engine, request


def octets(waiting: AccessRequest, answer: Answer) -> bytes:
    return answer_octets(
        answer,
        identifier=7,
        authenticator=waiting.login.attributes.authenticator,
        request=waiting.login.attributes,
        secret=SECRET,
        salt=lambda: 5,
    )


def test_an_answer_is_the_same_for_the_same_salt() -> None:
    waiting = asked(engine(), request())
    answer = Answer(True, (encode("Class", b"c"),), MsChap2Success(b"\7S=A", bytes(16), bytes(16)))
    assert octets(waiting, answer) == octets(waiting, answer)
    assert waiting.login.arrived_ms == NOW_MS


def test_no_secret_is_shown() -> None:
    login = asked(engine(), request()).login
    assert "sesame" not in repr(login.proof)
    assert "\\x01\\x02" not in repr(MsChap2Success(b"", b"\1\2", b"\1\2"))
