"""Whether a login proves that it is its subscriber's.

argon2 takes some 30 ms of a core on purpose, so it runs in threads of its own, a few at a time, and
the event loop goes on.
"""

import asyncio
import hmac
from concurrent.futures import ThreadPoolExecutor

import msgspec
import structlog
from argon2.exceptions import Argon2Error, InvalidHashError

from billing.sealing.keyring import Keyring, UnsealError
from billing.subscribers.login import HASHER, LoginTerms, PasswordKind
from billing.subscribers.subscriber import password_purpose
from radius.access import Login, Unproven, mac_of
from radius.passwords import (
    Chap,
    MsChap2,
    MsChap2Success,
    Pap,
    chap_proves,
    mschap2_proves,
    nt_hash,
)

_log = structlog.get_logger(__name__)


class Proven(msgspec.Struct, frozen=True):
    """It is. MS-CHAPv2 wants proof in return."""

    mschap2: MsChap2Success | None = None


class Unprovable(msgspec.Struct, frozen=True):
    """It is not, or cannot be told; `reason` says why, `wrong` that it was the password."""

    reason: str
    wrong: bool = False


WRONG = Unprovable("wrong_password", wrong=True)


class Credentials:
    """Checks logins. To be closed."""

    def __init__(self, keyring: Keyring, *, threads: int) -> None:
        """`threads` bounds the argon2 hashes computed at the same time."""
        self._keyring = keyring
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="argon2")

    def close(self) -> None:
        """Let the threads end."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def kept(self, user_name: str, terms: LoginTerms) -> tuple[PasswordKind, bytes] | None:
        """Return the password or its NT hash, for who proves it by EAP, CHAP or MS-CHAPv2.

        None where neither is kept, or it cannot be read.
        """
        if terms.password_sealed is None or terms.password_kind is PasswordKind.ARGON2ID:
            return None
        try:
            kept = self._keyring.unseal(terms.password_sealed, password_purpose(user_name))
        except UnsealError as error:
            _log.error("a password cannot be read", user=user_name, error=str(error))
            return None
        return terms.password_kind, kept

    async def check(self, login: Login, terms: LoginTerms) -> Proven | Unprovable:
        """Return whether a login is that of the subscriber whose terms these are."""
        if terms.password_sealed is None:
            return _by_station(login)
        try:
            kept = self._keyring.unseal(terms.password_sealed, password_purpose(login.user_name))
        except UnsealError as error:
            _log.error("a password cannot be read", user=login.user_name, error=str(error))
            return Unprovable("password_unreadable")
        match login.proof:
            case Pap(password=password):
                return await self._by_password(password, kept, terms.password_kind)
            case Chap():
                if terms.password_kind is not PasswordKind.CLEAR:
                    return Unprovable("password_kind")
                return Proven() if chap_proves(login.proof, kept) else WRONG
            case MsChap2():
                return _by_mschap2(login, login.proof, kept, terms.password_kind)
            case Unproven():
                return Unprovable(login.proof.value)

    async def _by_password(
        self, password: bytes, kept: bytes, kind: PasswordKind
    ) -> Proven | Unprovable:
        match kind:
            case PasswordKind.CLEAR:
                right = hmac.compare_digest(password, kept)
            case PasswordKind.NT:
                right = hmac.compare_digest(nt_hash(password), kept)
            case PasswordKind.ARGON2ID:
                loop = asyncio.get_running_loop()
                right = await loop.run_in_executor(self._pool, _verify, kept, password)
        return Proven() if right else WRONG


def _verify(kept: bytes, password: bytes) -> bool:
    try:
        return HASHER.verify(kept.decode(errors="replace"), password)
    except (Argon2Error, InvalidHashError):
        return False


def _by_mschap2(
    login: Login, proof: MsChap2, kept: bytes, kind: PasswordKind
) -> Proven | Unprovable:
    if kind is PasswordKind.ARGON2ID:
        return Unprovable("password_kind")
    hashed = nt_hash(kept) if kind is PasswordKind.CLEAR else kept
    success = mschap2_proves(proof, login.user_name_raw, hashed)
    return WRONG if success is None else Proven(success)


def _by_station(login: Login) -> Proven | Unprovable:
    """A subscriber without a password is a device, which its NAS knows by its MAC address.

    The NAS says so itself: User-Name is the Calling-Station-Id, and the password, if there is one,
    is the same again, or what the NAS puts in its place (Call-Check).
    """
    mac = mac_of(login.user_name)
    if mac is None or mac_of(login.station) != mac:
        return Unprovable("no_password")
    match login.proof:
        case Pap(password=password):
            same = password == login.user_name_raw or mac_of(password.decode("latin-1")) == mac
            return Proven() if same or login.call_check else WRONG
        case Chap():
            return Proven() if chap_proves(login.proof, login.user_name_raw) else WRONG
        case Unproven.NOTHING if login.call_check:
            return Proven()
        case _:
            return Unprovable("no_password")
