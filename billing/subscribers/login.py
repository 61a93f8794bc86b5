"""What a login of a subscriber has to know: how its password is kept, and its bounds.

All of it goes to the store with the subscriber, so that logins are answered without Postgres.
"""

import enum
from ipaddress import IPv4Address
from typing import Final

import msgspec
from argon2 import PasswordHasher
from Cryptodome.Hash import MD4

from billing.errors import InvalidInput
from billing.sealing.keyring import Keyring
from billing.subscribers.subscriber import check_password, password_purpose


class PasswordKind(enum.StrEnum):
    """What is kept of a password, sealed in each case, and so which ways to log in there are."""

    CLEAR = "clear"
    """Itself: PAP, CHAP and MS-CHAPv2."""
    NT = "nt"
    """Its NT hash: PAP and MS-CHAPv2."""
    ARGON2ID = "argon2id"
    """Its argon2id hash, from which nobody gets it back: PAP only."""


class WhenFull(enum.StrEnum):
    """What a login beyond the session limit does."""

    REFUSE = "refuse"
    REPLACE = "replace"


class Bounds(msgspec.Struct, frozen=True, omit_defaults=True):
    """What bounds the logins of a subscriber; None: nothing.

    `session_limit` counts sessions at the same time. `calling_station` and `nas` (the name of a NAS
    client) are where it may log in. `framed_pool` and `framed_ip` are what it is given.
    """

    session_limit: int | None = None
    when_full: WhenFull = WhenFull.REFUSE
    calling_station: str | None = None
    nas: str | None = None
    framed_pool: str | None = None
    framed_ip: str | None = None


NO_BOUNDS: Final = Bounds()


class LoginTerms(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the store keeps of a subscriber for logins. Without a password only its MAC logs in.

    One that is `suspended` does not, whatever its account's status.
    """

    password_kind: PasswordKind = PasswordKind.CLEAR
    password_sealed: bytes | None = None
    bounds: Bounds = NO_BOUNDS
    suspended: bool = False


NOTHING_KNOWN: Final = LoginTerms()

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(LoginTerms)

#: OWASP's recommendation for argon2id: 19 MiB and two passes, some 30 ms of one core.
HASHER: Final = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)

#: What an argon2id hash begins with, where one is given in place of a password.
ARGON2ID_MARK: Final = "$argon2id$"


def encode_login(terms: LoginTerms) -> str:
    """Return the text that the store keeps; empty where there is nothing to know."""
    if terms == NOTHING_KNOWN:
        return ""
    if terms.bounds == NO_BOUNDS:  # the same object is left out
        terms = msgspec.structs.replace(terms, bounds=NO_BOUNDS)
    return _encoder.encode(terms).decode()


def decode_login(text: str) -> LoginTerms:
    """Return what the store keeps; of a subscriber that was put without, nothing is known.

    Raises msgspec.MsgspecError for what this version does not understand.
    """
    return _decoder.decode(text) if text else NOTHING_KNOWN


def sealed_password(keyring: Keyring, username: str, password: bytes, kind: PasswordKind) -> bytes:
    """Return what is kept of a password. Raises InvalidInput.

    For argon2id the hash itself may be given in place of the password, as `$argon2id$...`.
    """
    check_password(password)
    return keyring.seal(_kept(password, kind), password_purpose(username))


def _kept(password: bytes, kind: PasswordKind) -> bytes:
    match kind:
        case PasswordKind.CLEAR:
            return password
        case PasswordKind.NT:
            text = password.decode(errors="surrogateescape")
            utf16 = text.encode("utf-16-le", errors="surrogatepass")
            return MD4.new(utf16).digest()  # noqa: S303 - what MS-CHAPv2 prescribes
        case PasswordKind.ARGON2ID:
            if password.startswith(ARGON2ID_MARK.encode()):
                return password
            return HASHER.hash(password).encode()


def check_bounds(bounds: Bounds) -> Bounds:
    """Return bounds if they can be. Raises InvalidInput."""
    fault = bounds_fault(bounds)
    if fault is not None:
        raise InvalidInput(f"{fault[0]}: {fault[1]}")
    return bounds


def bounds_fault(bounds: Bounds) -> tuple[str, str] | None:
    """Return which of the bounds is wrong, and how; None if none is."""
    limit = bounds.session_limit
    if limit is not None and not 1 <= limit <= 10_000:
        return "session_limit", f"{limit}; allowed are 1 to 10000, or none"
    for name in ("calling_station", "nas", "framed_pool"):
        value = getattr(bounds, name)
        if value is not None and not (value.isprintable() and 1 <= len(value.encode()) <= 253):
            return name, f"{value!r}; allowed are 1 to 253 octets of printable text"
    if bounds.framed_ip is not None:
        try:
            IPv4Address(bounds.framed_ip)
        except ValueError:
            return "framed_ip", f"{bounds.framed_ip!r}; allowed is an IPv4 address"
    return None
