"""Logins on a running system: who is let in, with what, and what its session begins with."""

import hashlib
from collections.abc import Iterator
from typing import Literal

import pytest

from billing.subscribers.login import Bounds, PasswordKind, WhenFull
from tests.acceptance.access_client import AccessNas, Asked, by_radclient
from tests.acceptance.books import Books
from tests.acceptance.conftest import GENERIC, SECRET, World
from tests.acceptance.installation import eventually
from tests.acceptance.pyrad_nas import PyradNas
from tests.acceptance.radclient import needs_radclient

EURO = 1_000_000
PASSWORD = b"open sesame"
Method = Literal["pap", "chap", "mschap2"]


@pytest.fixture
def nas(world: World) -> Iterator[tuple[AccessNas, PyradNas]]:
    """One NAS, with its logins and its accounting."""
    accounting = world.nas(PyradNas, GENERIC)
    assert isinstance(accounting, PyradNas)
    yield AccessNas(accounting.address, world.installation.ports.auth, SECRET), accounting
    accounting.close()


@pytest.fixture
def access(nas: tuple[AccessNas, PyradNas]) -> AccessNas:
    return nas[0]


def subscribed(books: Books, user: str, micros: int = EURO, **more: object) -> str:
    """An account with credit whose one subscriber has a password."""
    account = books.open_account(micros, f"owner-{user}")
    books.add_subscriber(user, account, **{"password": PASSWORD, **more})  # type: ignore[arg-type]
    return account


def accepted(asked: Asked | None) -> Asked:
    assert asked is not None
    assert asked.accepted, asked.attributes
    assert asked.first == 80, "Message-Authenticator is first"
    return asked


def refused(asked: Asked | None) -> str:
    """The Reply-Message of a refusal."""
    assert asked is not None
    assert not asked.accepted, asked.attributes
    assert asked.first == 80
    message: str = asked["Reply-Message"]
    return message


@pytest.mark.parametrize("method", ["pap", "chap", "mschap2"])
@pytest.mark.parametrize("kind", PasswordKind)
def test_what_is_kept_decides_which_ways_to_log_in_there_are(
    books: Books, access: AccessNas, user: str, method: Method, kind: PasswordKind
) -> None:
    subscribed(books, user, kind=kind)
    works = {
        PasswordKind.CLEAR: {"pap", "chap", "mschap2"},
        PasswordKind.NT: {"pap", "mschap2"},
        PasswordKind.ARGON2ID: {"pap"},
    }[kind]
    asked = access.login(user, PASSWORD, method)
    if method in works:
        accepted(asked)
    else:
        assert refused(asked) == "User name or password is wrong."
    assert refused(access.login(user, b"open simsim", method)) == "User name or password is wrong."


def test_mschap2_gets_its_proof_and_its_keys(books: Books, access: AccessNas, user: str) -> None:
    subscribed(books, user)
    asked = accepted(access.login(user, PASSWORD, "mschap2"))
    success: bytes = asked["MS-CHAP2-Success"]
    assert (success[:3], len(success)) == (b"\x07S=", 43)
    assert len(asked["MS-MPPE-Send-Key"]) == len(asked["MS-MPPE-Recv-Key"]) == 34
    wrong = access.login(user, b"wrong", "mschap2")
    refused(wrong)
    assert wrong is not None
    assert str(wrong["MS-CHAP-Error"]).startswith("\x07E=691 R=0")


@needs_radclient
@pytest.mark.parametrize("attribute", ["User-Password", "CHAP-Password"])
def test_radclient_logs_in(
    world: World, books: Books, access: AccessNas, user: str, attribute: str
) -> None:
    subscribed(books, user)
    port = world.installation.ports.auth
    lines = f'User-Name = "{user}"\n{attribute} = "open sesame"\n'
    told = by_radclient(access.address, port, SECRET, lines)
    assert "Received Access-Accept" in told
    assert "Acct-Interim-Interval = 300" in told


def test_a_login_reserves_and_its_start_takes_that_over(
    world: World, books: Books, nas: tuple[AccessNas, PyradNas], user: str
) -> None:
    """By Class; the whole balance was reserved, and the session has it."""
    access, accounting = nas
    account = subscribed(books, user, 30_000)
    asked = accepted(access.login(user, PASSWORD, Calling_Station_Id="m1"))
    assert books.balance(account).reserved == 30_000
    login = world.login(user)
    accounting.send(login.start(Class=asked["Class"]))
    [session] = books.open_sessions(user)
    assert session.reserved_micros == 30_000
    assert books.balance(account).reserved == 30_000
    accounting.send(login.stop(10, 0, 0))
    assert books.balance(account).reserved == 0


def test_a_user_without_credit_is_refused(books: Books, access: AccessNas, user: str) -> None:
    subscribed(books, user, 10_000)
    assert refused(access.login(user, PASSWORD)) == "There is no credit left."


def test_two_logins_share_what_the_account_has(books: Books, access: AccessNas, user: str) -> None:
    account = subscribed(books, user, 50_000)
    accepted(access.login(user, PASSWORD, Calling_Station_Id="m1"))
    assert books.balance(account).available == 10_000
    told = refused(access.login(user, PASSWORD, Calling_Station_Id="m2"))
    assert told == "There is no credit left."


def test_a_plan_of_seconds_is_told_how_long_the_credit_lasts(
    books: Books, access: AccessNas, user: str
) -> None:
    """EUR 0.60 an hour: EUR 0.05 are 300 s."""
    subscribed(books, user, 50_000, plan="hourly")
    asked = accepted(access.login(user, PASSWORD))
    assert asked["Session-Timeout"] == 300
    assert asked["Acct-Interim-Interval"] == 300


def test_bounds_of_a_subscriber(world: World, books: Books, access: AccessNas, user: str) -> None:
    subscribed(
        books,
        user,
        bounds=Bounds(
            calling_station="00:53:00:aa:bb:cc",
            nas="pop-generic",
            framed_pool="gold",
            framed_ip="198.51.100.7",
        ),
    )
    told = refused(access.login(user, PASSWORD, Calling_Station_Id="00-53-00-AA-BB-CD"))
    assert told == "This device is not allowed."
    asked = accepted(access.login(user, PASSWORD, Calling_Station_Id="0053.00AA.BBCC"))
    assert asked["Framed-IP-Address"] == "198.51.100.7"
    other = AccessNas(world.address("127.11"), world.installation.ports.auth, SECRET)
    told = refused(other.login(user, PASSWORD, Calling_Station_Id="00-53-00-AA-BB-CC"))
    assert told == "This access point is not allowed."


class TestSessionLimit:
    def test_one_more_is_refused(
        self, world: World, books: Books, nas: tuple[AccessNas, PyradNas], user: str
    ) -> None:
        access, accounting = nas
        subscribed(books, user, bounds=Bounds(session_limit=1))
        first = accepted(access.login(user, PASSWORD, Calling_Station_Id="m1"))
        login = world.login(user, "first")
        accounting.send(login.start(Class=first["Class"]))
        told = refused(access.login(user, PASSWORD, Calling_Station_Id="m2"))
        assert told == "Too many sessions at the same time."
        accounting.send(login.stop(10, 0, 0))
        accepted(access.login(user, PASSWORD, Calling_Station_Id="m2"))

    def test_or_takes_the_place_of_the_oldest(
        self, world: World, books: Books, nas: tuple[AccessNas, PyradNas], user: str
    ) -> None:
        access, accounting = nas
        account = subscribed(
            books, user, bounds=Bounds(session_limit=1, when_full=WhenFull.REPLACE)
        )
        accounting.send(world.login(user, "first").start())
        with world.coa_port(access.address) as coa:
            accepted(access.login(user, PASSWORD, Calling_Station_Id="m2"))
            disconnect = coa.receive(15)
        assert disconnect is not None
        assert disconnect.session_id == "first"
        assert [job.cause for job in books.jobs(account)] == ["operator"]


class TestStranger:
    def test_an_unknown_user_and_a_wrong_password_are_told_the_same(
        self, books: Books, access: AccessNas, user: str
    ) -> None:
        subscribed(books, user)
        assert refused(access.login("nobody", PASSWORD)) == refused(access.login(user, b"wrong"))

    def test_guessing_is_slowed_and_the_right_password_waits_too(
        self, books: Books, access: AccessNas, user: str
    ) -> None:
        subscribed(books, user)
        for _ in range(4):
            refused(access.login(user, b"wrong"))
        assert refused(access.login(user, PASSWORD)) == "User name or password is wrong."
        eventually(lambda: (asked := access.login(user, PASSWORD)) is not None and asked.accepted)

    def test_an_unsigned_request_gets_no_answer(
        self, books: Books, access: AccessNas, user: str
    ) -> None:
        subscribed(books, user)
        assert access.login(user, PASSWORD, signed=False, wait_s=0.5) is None
        accepted(access.login(user, PASSWORD))


def test_a_device_without_a_password_logs_in_by_its_mac(
    world: World, books: Books, access: AccessNas
) -> None:
    mac = hashlib.sha256(access.address.encode()).hexdigest()[:12]
    account = books.open_account(EURO, f"owner-{mac}")
    books.add_subscriber(mac, account)
    station = "-".join(mac[at : at + 2] for at in range(0, 12, 2)).upper()
    accepted(access.login(mac, mac.encode(), Calling_Station_Id=station))
    accepted(access.login(mac, None, Calling_Station_Id=station, Service_Type=10))
    refused(access.login(mac, mac.encode(), Calling_Station_Id="00-53-00-00-00-01"))
