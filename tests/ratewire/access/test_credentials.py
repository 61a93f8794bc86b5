"""Every proof against everything that may be kept of a password."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
from structlog.testing import capture_logs

from billing.sealing.keyring import Keyring
from billing.subscribers.login import LoginTerms, PasswordKind, sealed_password
from radius.access import Unproven
from ratewire.access.credentials import WRONG, Credentials, Proven, Unprovable
from tests.ratewire.access.logins import PASSWORD, login

Method = Literal["pap", "chap", "mschap2"]


@pytest.fixture
def keyring(tmp_path: Path) -> Keyring:
    return Keyring.load(tmp_path / "secret.key")


@pytest.fixture
def credentials(keyring: Keyring) -> Iterator[Credentials]:
    made = Credentials(keyring, threads=2)
    yield made
    made.close()


def kept(keyring: Keyring, kind: PasswordKind, user: str = "bob") -> LoginTerms:
    return LoginTerms(kind, sealed_password(keyring, user, PASSWORD, kind))


@pytest.mark.parametrize(
    ("kind", "method", "works"),
    [
        (PasswordKind.CLEAR, "pap", True),
        (PasswordKind.CLEAR, "chap", True),
        (PasswordKind.CLEAR, "mschap2", True),
        (PasswordKind.NT, "pap", True),
        (PasswordKind.NT, "chap", False),
        (PasswordKind.NT, "mschap2", True),
        (PasswordKind.ARGON2ID, "pap", True),
        (PasswordKind.ARGON2ID, "chap", False),
        (PasswordKind.ARGON2ID, "mschap2", False),
    ],
)
async def test_a_right_password_and_a_wrong_one(
    credentials: Credentials, keyring: Keyring, kind: PasswordKind, method: Method, works: bool
) -> None:
    terms = kept(keyring, kind)
    found = await credentials.check(login(method=method), terms)
    assert isinstance(found, Proven) is works
    if not works:
        assert found == Unprovable("password_kind")
        return
    assert isinstance(found, Proven)
    assert (found.mschap2 is not None) is (method == "mschap2")
    assert await credentials.check(login(password=b"wrong", method=method), terms) == WRONG


async def test_a_password_that_was_moved_to_another_subscriber_is_none(
    credentials: Credentials, keyring: Keyring
) -> None:
    with capture_logs() as lines:
        found = await credentials.check(login("eve"), kept(keyring, PasswordKind.CLEAR))
    assert found == Unprovable("password_unreadable")
    assert lines[0]["event"] == "a password cannot be read"


async def test_a_login_without_a_proof(credentials: Credentials, keyring: Keyring) -> None:
    terms = kept(keyring, PasswordKind.CLEAR)
    assert await credentials.check(login(password=None), terms) == Unprovable("nothing")
    eap = login(EAP_Message=b"\2\1\0\4")
    assert await credentials.check(eap, terms) == Unprovable(Unproven.EAP.value)


async def test_argon2_does_not_stop_the_event_loop(
    credentials: Credentials, keyring: Keyring
) -> None:
    terms = kept(keyring, PasswordKind.ARGON2ID)
    checks = [asyncio.create_task(credentials.check(login(), terms)) for _ in range(6)]
    ticks = 0
    began = time.monotonic()
    while not all(check.done() for check in checks):
        await asyncio.sleep(0.001)
        ticks += 1
        assert time.monotonic() - began < 60
    assert ticks > 5
    assert all(isinstance(check.result(), Proven) for check in checks)


async def test_a_kept_hash_that_is_none_is_wrong(
    credentials: Credentials, keyring: Keyring
) -> None:
    sealed = keyring.seal(b"$argon2id$broken", "subscriber password: bob")
    found = await credentials.check(login(), LoginTerms(PasswordKind.ARGON2ID, sealed))
    assert found == WRONG


class TestMac:
    MAC = "005300aabbcc"
    NOTHING = LoginTerms()

    @pytest.mark.parametrize(
        ("user", "station", "password"),
        [
            ("005300aabbcc", "00-53-00-AA-BB-CC", b"005300aabbcc"),
            ("00:53:00:AA:BB:CC", "005300AABBCC", b"00-53-00-aa-bb-cc"),
        ],
    )
    async def test_the_nas_vouches_for_the_device(
        self, credentials: Credentials, user: str, station: str, password: bytes
    ) -> None:
        asked = login(user, password, Calling_Station_Id=station)
        assert await credentials.check(asked, self.NOTHING) == Proven()

    async def test_by_chap_and_by_call_check(self, credentials: Credentials) -> None:
        chap = login(self.MAC, self.MAC.encode(), "chap", Calling_Station_Id=self.MAC)
        assert await credentials.check(chap, self.NOTHING) == Proven()
        check = login(self.MAC, None, Calling_Station_Id=self.MAC, Service_Type=10)
        assert await credentials.check(check, self.NOTHING) == Proven()

    async def test_nobody_else_gets_in_without_a_password(self, credentials: Credentials) -> None:
        other = login(self.MAC, self.MAC.encode(), Calling_Station_Id="00-53-00-00-00-01")
        assert await credentials.check(other, self.NOTHING) == Unprovable("no_password")
        typed = login(self.MAC, b"guess", Calling_Station_Id=self.MAC)
        assert await credentials.check(typed, self.NOTHING) == WRONG
        nothing = login(self.MAC, None, Calling_Station_Id=self.MAC)
        assert await credentials.check(nothing, self.NOTHING) == Unprovable("no_password")
        person = login("bob", b"bob", Calling_Station_Id="bob")
        assert await credentials.check(person, self.NOTHING) == Unprovable("no_password")

    async def test_a_subscriber_with_a_password_needs_it(
        self, credentials: Credentials, keyring: Keyring
    ) -> None:
        terms = kept(keyring, PasswordKind.CLEAR, self.MAC)
        asked = login(self.MAC, self.MAC.encode(), Calling_Station_Id=self.MAC)
        assert await credentials.check(asked, terms) == WRONG
