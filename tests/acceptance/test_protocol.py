"""What a NAS may expect of an accounting server, and what nobody gets an answer to."""

import hashlib
import socket
import struct

import pytest

from tests.acceptance.books import Books, Epoch
from tests.acceptance.conftest import BOTH_CLIENTS, SECRET, UNKNOWN, Nas, World
from tests.acceptance.installation import HOST, eventually, printed, told
from tests.acceptance.pyrad_nas import PyradNas
from tests.acceptance.records import Status

EURO = 1_000_000
LEAST_RESERVE = 20_000 * 2


def test_an_unknown_user_is_acknowledged_and_listed(
    world: World, books: Books, nas: Nas, user: str
) -> None:
    login = world.login(user)
    nas.send(
        login.start(), login.interim(100, 10, 2**32 + 20), login.stop(200, 1_500, 2**32 + 2_500)
    )
    books.settle()
    [found] = books.unrated(user)
    assert (found.reason, found.records, found.kind) == ("unknown_user", 3, Status.STOP)
    assert (found.nas, found.acct_session_id) == (f"pop-generic/{nas.address}", login.session_id)
    assert (found.seconds, found.octets_in, found.octets_out) == (200, 1_500, 2**32 + 2_500)
    assert books.open_sessions(user) == []


def test_proxy_states_come_back_in_order(world: World, books: Books, nas: Nas, user: str) -> None:
    books.open_account(EURO, user)
    states = (b"first\0proxy", b"\xff\xfe", b"first\0proxy")
    start = {**world.login(user).start(), "Proxy-State": list(states)}
    [reply] = nas.send(start)
    assert reply.proxy_states == states


def test_a_status_server_is_answered(nas: Nas) -> None:
    """RFC 5997: with an Accounting-Response, on the accounting port."""
    assert nas.ask_status().code == 5


@pytest.mark.parametrize("kind", BOTH_CLIENTS)
def test_an_unknown_nas_gets_no_answer(
    world: World, books: Books, user: str, kind: type[Nas]
) -> None:
    account = books.open_account(EURO, user)
    before = world.installation.counted("dropped_unknown_client")
    stranger = world.nas(kind, UNKNOWN)
    assert not stranger.is_answered(world.login(user).start())
    stranger.close()
    eventually(lambda: world.installation.counted("dropped_unknown_client") == before + 1)
    books.assert_account(account, EURO, [])


def test_a_wrong_secret_gets_no_answer(world: World, books: Books, nas: Nas, user: str) -> None:
    account = books.open_account(EURO, user)
    before = world.installation.counted("dropped_bad_authenticator")
    assert not nas.is_answered(world.login(user).start(), secret=b"another-secret")
    eventually(lambda: world.installation.counted("dropped_bad_authenticator") == before + 1)
    books.assert_account(account, EURO, [])
    nas.send(world.login(user).start())
    books.assert_account(account, EURO, [Epoch(0, 0, 0, (), None)], reserved=LEAST_RESERVE)


def test_malformed_datagrams_get_no_answer(
    world: World, books: Books, pyrad_nas: PyradNas, user: str
) -> None:
    """RFC 2866, section 3: a bad length; RFC 2865, section 5: an attribute that overruns."""
    account = books.open_account(EURO, user)
    with pyrad_nas.datagram(world.login(user).start()) as right:
        octets = right.octets
    overrun = _signed(octets[20:-1] + bytes((44, 200)) + b"x")
    malformed = (
        b"",
        b"\x04",
        octets[:19],
        octets[:-1],
        octets[:2] + b"\0\x13" + octets[4:],
        overrun,
    )
    before = world.installation.counted("dropped_malformed")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as speaking:
        speaking.bind((pyrad_nas.address, 0))
        speaking.connect((HOST, world.installation.ports.acct))
        speaking.settimeout(0.5)
        for datagram in malformed:
            speaking.send(datagram)
        with pytest.raises(TimeoutError):
            speaking.recv(4096)
    eventually(lambda: world.installation.counted("dropped_malformed") == before + len(malformed))
    books.assert_account(account, EURO, [])


def test_a_nas_is_added_and_removed_while_all_runs(world: World, books: Books, user: str) -> None:
    """By the command line, and no process is started anew."""
    account = books.open_account(EURO, user)
    listeners = world.serving.role("listener")
    login = world.login(user)
    nas = world.nas(PyradNas, "127.12")
    assert not nas.is_answered(login.start())

    adding = world.installation.command(
        *("nas", "add", "late-pop", "--source", f"{nas.address}/32", "--secret", "-", "--json"),
        stdin=SECRET.decode(),
    )
    assert told(adding)["name"] == "late-pop"
    eventually(lambda: nas.is_answered(login.start()))

    assert "removed" in printed(world.installation.command("nas", "remove", "late-pop"))
    eventually(lambda: not nas.is_answered(login.interim(600, 6_000, 6_000)))
    nas.close()
    books.settle()
    assert [epoch.closed for epoch in books.epochs(account)] == [None]
    assert world.serving.role("listener") == listeners


def _signed(body: bytes) -> bytes:
    """An Accounting-Request over any octets, with a right authenticator."""
    head = struct.pack("!BBH", 4, 77, 20 + len(body))
    return head + hashlib.md5(head + bytes(16) + body + SECRET).digest() + body
