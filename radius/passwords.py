"""How a password is hidden, proved and answered: PAP, CHAP, MS-CHAPv2. Pure.

MD4, MD5, DES and SHA-1 are what the protocols prescribe; nothing here chooses them for their
strength. Whoever can see a CHAP or MS-CHAPv2 exchange can guess the password offline: only TLS, or
a path that nobody else sees, protects logins.
"""

import hashlib
import hmac
from typing import Final

import msgspec
from Cryptodome.Cipher import DES
from Cryptodome.Hash import MD4

#: RFC 2865 section 5.2: 16 to 128 octets, in blocks of 16.
_BLOCK: Final = 16
_LONGEST_HIDDEN: Final = 128

#: RFC 2865 section 5.3: one octet of identifier, 16 of response.
CHAP_PASSWORD_OCTETS: Final = 17

#: RFC 2548 section 2.3.2: Ident, Flags, Peer-Challenge 16, Reserved 8, Response 24.
_MSCHAP2_RESPONSE_OCTETS: Final = 50
_MSCHAP2_CHALLENGE_OCTETS: Final = 16


class Pap(msgspec.Struct, frozen=True):
    """The password itself."""

    password: bytes

    def __repr__(self) -> str:
        """Without the password."""
        return "Pap()"


class Chap(msgspec.Struct, frozen=True):
    """RFC 1994: MD5 over identifier, password and challenge."""

    identifier: int
    response: bytes
    challenge: bytes


class MsChap2(msgspec.Struct, frozen=True):
    """RFC 2759: the response to two challenges, the peer's own and the NAS's."""

    identifier: int
    peer_challenge: bytes
    response: bytes
    challenge: bytes


Proof = Pap | Chap | MsChap2


class MsChap2Success(msgspec.Struct, frozen=True):
    """What an Access-Accept to MS-CHAPv2 carries: proof that we know the password, and keys."""

    success: bytes
    """Value of MS-CHAP2-Success."""
    send_key: bytes
    """From our, that is the NAS's, point of view (RFC 3079 section 3.3)."""
    receive_key: bytes

    def __repr__(self) -> str:
        """Without the keys."""
        return "MsChap2Success()"


def reveal(hidden: bytes, secret: bytes, authenticator: bytes) -> bytes | None:
    """The password in a User-Password, without its padding; None for an impossible length.

    RFC 2865 section 5.2. With another secret it comes out as noise.
    """
    if not hidden or len(hidden) % _BLOCK or len(hidden) > _LONGEST_HIDDEN:
        return None
    plain = bytearray()
    before = authenticator
    for at in range(0, len(hidden), _BLOCK):
        block = hidden[at : at + _BLOCK]
        pad = hashlib.md5(secret + before, usedforsecurity=False).digest()
        plain += bytes(a ^ b for a, b in zip(block, pad, strict=True))
        before = block
    return bytes(plain).rstrip(b"\0")


def mschap2_of(response: bytes, challenge: bytes) -> MsChap2 | None:
    """The proof in MS-CHAP2-Response and MS-CHAP-Challenge; None if they have other lengths."""
    if len(response) != _MSCHAP2_RESPONSE_OCTETS or len(challenge) != _MSCHAP2_CHALLENGE_OCTETS:
        return None
    return MsChap2(response[0], response[2:18], response[26:50], challenge)


def chap_proves(proof: Chap, password: bytes) -> bool:
    """Whether a CHAP response was made with this password."""
    expected = hashlib.md5(
        bytes((proof.identifier,)) + password + proof.challenge, usedforsecurity=False
    ).digest()
    return hmac.compare_digest(expected, proof.response)


def nt_hash(password: bytes) -> bytes:
    """The NT hash of a password in UTF-8 (RFC 2759 section 8.3)."""
    text = password.decode(errors="surrogateescape")
    return _md4(text.encode("utf-16-le", errors="surrogatepass"))


def mschap2_proves(proof: MsChap2, user_name: bytes, hashed: bytes) -> MsChap2Success | None:
    """What to answer if an MS-CHAPv2 response was made with the password of this NT hash."""
    challenge = _challenge_hash(proof.peer_challenge, proof.challenge, user_name)
    if not hmac.compare_digest(_challenge_response(challenge, hashed), proof.response):
        return None
    hash_of_hash = _md4(hashed)
    digest = hashlib.sha1(hash_of_hash + proof.response + _MAGIC_1, usedforsecurity=False).digest()
    answer = hashlib.sha1(digest + challenge + _MAGIC_2, usedforsecurity=False).hexdigest().upper()
    master = hashlib.sha1(
        hash_of_hash + proof.response + _MASTER_MAGIC, usedforsecurity=False
    ).digest()[:16]
    return MsChap2Success(
        bytes((proof.identifier,)) + b"S=" + answer.encode(),
        _session_key(master, _SERVER_SEND_MAGIC),
        _session_key(master, _SERVER_RECEIVE_MAGIC),
    )


def mschap2_error(proof: MsChap2) -> bytes:
    """The value of MS-CHAP-Error for a wrong password (RFC 2759 section 6): no retry, version 3."""
    return bytes((proof.identifier,)) + b"E=691 R=0 C=" + bytes(16).hex().encode() + b" V=3"


def hide_key(key: bytes, secret: bytes, authenticator: bytes, salt: int) -> bytes:
    """The value of MS-MPPE-Send-Key or -Recv-Key (RFC 2548 section 2.4.2).

    `salt` has 15 bits and differs among the keys of a packet; `authenticator` is the request's.
    """
    salted = (salt | 0x8000).to_bytes(2)
    plain = bytes((len(key),)) + key
    plain += bytes(-len(plain) % _BLOCK)
    out = bytearray(salted)
    before = authenticator + salted
    for at in range(0, len(plain), _BLOCK):
        pad = hashlib.md5(secret + before, usedforsecurity=False).digest()
        block = bytes(a ^ b for a, b in zip(plain[at : at + _BLOCK], pad, strict=True))
        out += block
        before = block
    return bytes(out)


def mschap2_response(
    peer_challenge: bytes, challenge: bytes, user_name: bytes, hashed: bytes
) -> bytes:
    """The 24 octets with which a peer proves the password of this NT hash."""
    return _challenge_response(_challenge_hash(peer_challenge, challenge, user_name), hashed)


def _challenge_hash(peer_challenge: bytes, challenge: bytes, user_name: bytes) -> bytes:
    """RFC 2759 section 8.2, of the user name without a Windows domain before it (section 4)."""
    name = user_name.rpartition(b"\\")[2]
    return hashlib.sha1(peer_challenge + challenge + name, usedforsecurity=False).digest()[:8]


def _challenge_response(challenge: bytes, hashed: bytes) -> bytes:
    """RFC 2759 section 8.5: the challenge under three DES keys of seven octets each."""
    padded = hashed + bytes(5)
    keys = (padded[0:7], padded[7:14], padded[14:21])
    return b"".join(_des(_with_parity(key), challenge) for key in keys)


def _md4(octets: bytes) -> bytes:
    return MD4.new(octets).digest()  # noqa: S303 - see the module


def _des(key: bytes, block: bytes) -> bytes:
    cipher = DES.new(key, DES.MODE_ECB)  # noqa: S304  # pyright: ignore[reportUnknownMemberType]
    return cipher.encrypt(block)


def _with_parity(key: bytes) -> bytes:
    """Seven octets spread over eight; DES does not look at the lowest bit of each."""
    bits = int.from_bytes(key)
    return bytes((bits >> shift & 0x7F) << 1 for shift in range(49, -1, -7))


def _session_key(master: bytes, magic: bytes) -> bytes:
    """RFC 3079 section 3.4, for 128 bits."""
    return hashlib.sha1(master + bytes(40) + magic + b"\xf2" * 40, usedforsecurity=False).digest()[
        :16
    ]


_MAGIC_1: Final = b"Magic server to client signing constant"
_MAGIC_2: Final = b"Pad to make it do more than one iteration"
_MASTER_MAGIC: Final = b"This is the MPPE Master Key"
_SERVER_RECEIVE_MAGIC: Final = (
    b"On the client side, this is the send key; on the server side, it is the receive key."
)
_SERVER_SEND_MAGIC: Final = (
    b"On the client side, this is the receive key; on the server side, it is the send key."
)
