"""What is kept for logins: every kind of password sealed, bounds checked, text that comes back."""

from pathlib import Path

import pytest

from billing.errors import InvalidInput
from billing.sealing.keyring import Keyring
from billing.subscribers.login import (
    HASHER,
    NO_BOUNDS,
    Bounds,
    LoginTerms,
    PasswordKind,
    WhenFull,
    check_bounds,
    decode_login,
    encode_login,
    sealed_password,
)
from billing.subscribers.subscriber import password_purpose

FULL = Bounds(3, WhenFull.REPLACE, "00-53-00-AA-BB-CC", "pop1", "gold", "198.51.100.7")


@pytest.fixture
def keyring(tmp_path: Path) -> Keyring:
    return Keyring.load(tmp_path / "secret.key")


def kept(keyring: Keyring, password: bytes, kind: PasswordKind) -> bytes:
    """What is sealed of a password, which must not be seen in it."""
    sealed = sealed_password(keyring, "u", password, kind)
    assert password not in sealed
    return keyring.unseal(sealed, password_purpose("u"))


def test_a_clear_password_is_sealed_as_it_is(keyring: Keyring) -> None:
    assert kept(keyring, b"open sesame", PasswordKind.CLEAR) == b"open sesame"


def test_of_an_nt_password_its_hash(keyring: Keyring) -> None:
    """The example of RFC 2759 section 9.2."""
    expected = bytes.fromhex("44EBBA8D5312B8D611474411F56989AE")
    assert kept(keyring, b"clientPass", PasswordKind.NT) == expected


def test_of_an_argon2id_password_its_hash_with_a_salt_of_its_own(keyring: Keyring) -> None:
    first, second = (kept(keyring, b"open sesame", PasswordKind.ARGON2ID) for _ in range(2))
    assert first != second
    assert HASHER.verify(first.decode(), b"open sesame")
    assert kept(keyring, first, PasswordKind.ARGON2ID) == first, "a hash is taken over"


@pytest.mark.parametrize("kind", PasswordKind)
@pytest.mark.parametrize("password", [b"", b"x" * 129])
def test_an_impossible_password_is_refused(
    keyring: Keyring, kind: PasswordKind, password: bytes
) -> None:
    with pytest.raises(InvalidInput, match="allowed are 1 to 128"):
        sealed_password(keyring, "u", password, kind)


@pytest.mark.parametrize(
    "terms",
    [
        LoginTerms(),
        LoginTerms(PasswordKind.NT, b"\x00\xff sealed"),
        LoginTerms(PasswordKind.ARGON2ID, b"sealed", FULL),
    ],
)
def test_what_the_store_keeps_comes_back(terms: LoginTerms) -> None:
    assert decode_login(encode_login(terms)) == terms


def test_nothing_to_know_takes_no_room() -> None:
    assert encode_login(LoginTerms()) == ""


def test_bounds_that_can_be() -> None:
    assert check_bounds(FULL) == FULL
    assert check_bounds(NO_BOUNDS) == NO_BOUNDS


@pytest.mark.parametrize(
    "bounds",
    [
        Bounds(session_limit=0),
        Bounds(session_limit=10_001),
        Bounds(calling_station=""),
        Bounds(nas="a\nb"),
        Bounds(framed_pool="x" * 254),
        Bounds(framed_ip="2001:db8::1"),
    ],
)
def test_bounds_that_cannot_be_name_the_fault(bounds: Bounds) -> None:
    with pytest.raises(InvalidInput, match="allowed"):
        check_bounds(bounds)
