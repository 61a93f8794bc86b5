"""Hiding and proving passwords, held against the RFCs' own examples and pyrad."""

import hashlib

import pytest
from Cryptodome.Hash import MD4
from hypothesis import given
from hypothesis import strategies as st
from pyrad.packet import AuthPacket

from radius.passwords import (
    Chap,
    MsChap2,
    Pap,
    chap_proves,
    hide_key,
    mschap2_error,
    mschap2_of,
    mschap2_proves,
    nt_hash,
    reveal,
)

SECRET = b"xyzzy5461"

# RFC 2759 section 9.2 and RFC 3079 section 3.5.3: user "User", password "clientPass".
AUTHENTICATOR_CHALLENGE = bytes.fromhex("5B5D7C7D7B3F2F3E3C2C602132262628")
PEER_CHALLENGE = bytes.fromhex("21402324255E262A28295F2B3A337C7E")
NT_RESPONSE = bytes.fromhex("82309ECD8D708B5EA08FAA3981CD83544233114A3D85D6DF")
PROOF = MsChap2(7, PEER_CHALLENGE, NT_RESPONSE, AUTHENTICATOR_CHALLENGE)


class TestPap:
    @given(st.binary(min_size=1, max_size=128).filter(lambda p: not p.endswith(b"\0")))
    def test_what_pyrad_hides_is_revealed(self, password: bytes) -> None:
        packet = AuthPacket(secret=SECRET, authenticator=bytes(range(16)))
        hidden = packet.PwCrypt(password)
        assert reveal(hidden, SECRET, bytes(range(16))) == password

    @pytest.mark.parametrize("octets", [0, 1, 15, 17, 144])
    def test_an_impossible_length_is_no_password(self, octets: int) -> None:
        assert reveal(bytes(octets), SECRET, bytes(16)) is None

    def test_it_is_shown_to_nobody(self) -> None:
        assert "secret" not in repr(Pap(b"secret"))


class TestChap:
    def test_the_response_to_the_challenge_proves_the_password(self) -> None:
        """RFC 1994 section 4.1."""
        response = hashlib.md5(b"\x09" + b"pass" + b"challenge").digest()
        assert chap_proves(Chap(9, response, b"challenge"), b"pass")
        assert not chap_proves(Chap(9, response, b"challenge"), b"Pass")
        assert not chap_proves(Chap(8, response, b"challenge"), b"pass")


class TestMsChap2:
    def test_the_nt_hash_of_the_rfc(self) -> None:
        assert nt_hash(b"clientPass") == bytes.fromhex("44EBBA8D5312B8D611474411F56989AE")

    def test_the_example_of_the_rfc(self) -> None:
        """With the answer of RFC 2759 and the keys of RFC 3079, from the server's point of view."""
        success = mschap2_proves(PROOF, b"User", nt_hash(b"clientPass"))
        assert success is not None
        assert success.success == b"\x07S=407A5589115FD0D6209F510FE9C04566932CDA56"
        assert success.send_key == bytes.fromhex("8B7CDC149B993A1BA118CB153F56DCCB")
        assert len(success.receive_key) == 16
        assert success.receive_key != success.send_key

    def test_a_windows_domain_is_no_part_of_the_name(self) -> None:
        assert mschap2_proves(PROOF, b"OFFICE\\User", nt_hash(b"clientPass")) is not None

    @pytest.mark.parametrize(
        ("user", "password"), [(b"User", b"clientPas"), (b"user", b"clientPass")]
    )
    def test_anything_else_proves_nothing(self, user: bytes, password: bytes) -> None:
        assert mschap2_proves(PROOF, user, nt_hash(password)) is None

    def test_other_lengths_are_no_proof(self) -> None:
        response = b"\x07\x00" + PEER_CHALLENGE + bytes(8) + NT_RESPONSE
        assert mschap2_of(response, AUTHENTICATOR_CHALLENGE) == PROOF
        assert mschap2_of(response[:-1], AUTHENTICATOR_CHALLENGE) is None
        assert mschap2_of(response, AUTHENTICATOR_CHALLENGE[:-1]) is None

    def test_the_refusal_is_authentication_failure_without_retry(self) -> None:
        assert mschap2_error(PROOF) == b"\x07E=691 R=0 C=" + b"00" * 16 + b" V=3"

    @given(st.binary(max_size=40))
    def test_any_octets_have_an_nt_hash(self, password: bytes) -> None:
        assert len(nt_hash(password)) == 16

    def test_a_hash_is_that_of_the_text(self) -> None:
        assert nt_hash("pässwörd".encode()) == MD4.new("pässwörd".encode("utf-16-le")).digest()


class TestKeys:
    @given(st.binary(min_size=16, max_size=16), st.integers(0, 2**15 - 1))
    def test_the_nas_reveals_what_was_hidden(self, key: bytes, salt: int) -> None:
        """RFC 2548 section 2.4.2, undone as a NAS does, by pyrad's own RFC 2868 decryption."""
        authenticator = bytes(range(16))
        hidden = hide_key(key, SECRET, authenticator, salt)
        assert hidden[0] & 0x80, "the highest bit of a salt is set"
        packet = AuthPacket(secret=SECRET, authenticator=authenticator)
        assert packet.SaltDecrypt(hidden) == key
