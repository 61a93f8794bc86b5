"""Sealing: AES-256-GCM with keys from a file.

A sealed value is one octet of format (1), 8 octets that name the key, 12 octets of nonce, then
ciphertext and tag. Its purpose is authenticated with it: a value cannot be moved to where another
one belongs. The nonce is random, which is safe for 2^32 values a key (NIST SP 800-38D, 8.3).
"""

import base64
import binascii
import contextlib
import hashlib
import os
import secrets
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_OCTETS: Final = 32
_FORMAT: Final = b"\x01"
_KEY_ID_OCTETS: Final = 8
_NONCE_OCTETS: Final = 12
_HEAD_OCTETS: Final = len(_FORMAT) + _KEY_ID_OCTETS + _NONCE_OCTETS

_FILE_HEAD: Final = """\
# Ratewire's keys: each line is one, the base64 of 32 random octets. The first line seals; all of
# them unseal. To rotate, put a new line before the others. Keep a copy apart from the database:
# without this file, NAS secrets and stored passwords are lost.
"""


class KeyringError(Exception):
    """The key file cannot be used; the message says why and what to do. It holds no secret."""


class UnsealError(Exception):
    """A value was not sealed with these keys for this purpose, or is damaged."""


class Keyring:
    """Keys, the newest first: it seals, and all unseal."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        """`keys` are 32 octets each, at least one."""
        assert keys, "a keyring has a key"
        assert all(len(key) == KEY_OCTETS for key in keys)
        self._ciphers = {_key_id(key): AESGCM(key) for key in keys}
        self._newest = _key_id(keys[0])

    @classmethod
    def load(cls, path: Path) -> Self:
        """Return the keys of a file; one that is missing is created with a random key.

        Only its owner may read the file. Raises KeyringError.
        """
        try:
            _create_if_missing(path)
            text = _read_private(path)
        except OSError as error:
            raise KeyringError(f"key file {path}: {error.strerror or error}") from error
        return cls(_parse(text, path))

    @property
    def ids(self) -> frozenset[str]:
        """The ids of the keys, in hexadecimal digits, as sealed values name them."""
        return frozenset(key_id.hex() for key_id in self._ciphers)

    def seal(self, plaintext: bytes, purpose: str) -> bytes:
        """Return the plaintext, sealed for a purpose."""
        nonce = secrets.token_bytes(_NONCE_OCTETS)
        sealed = self._ciphers[self._newest].encrypt(nonce, plaintext, purpose.encode())
        return _FORMAT + self._newest + nonce + sealed

    def unseal(self, sealed: bytes, purpose: str) -> bytes:
        """Return what was sealed for this purpose. Raises UnsealError."""
        if len(sealed) < _HEAD_OCTETS or not sealed.startswith(_FORMAT):
            raise UnsealError("not a sealed value")
        key_id = sealed[len(_FORMAT) :][:_KEY_ID_OCTETS]
        cipher = self._ciphers.get(key_id)
        if cipher is None:
            raise UnsealError(f"sealed with the key {key_id.hex()}, which the key file lacks")
        nonce = sealed[len(_FORMAT) + _KEY_ID_OCTETS : _HEAD_OCTETS]
        try:
            return cipher.decrypt(nonce, sealed[_HEAD_OCTETS:], purpose.encode())
        except InvalidTag:
            raise UnsealError(f"not sealed for {purpose!r}, or damaged") from None

    def is_newest(self, sealed: bytes) -> bool:
        """Return whether a value is sealed with the newest key: after a rotation it is not."""
        return sealed[len(_FORMAT) :].startswith(self._newest)


def _key_id(key: bytes) -> bytes:
    return hashlib.sha256(b"ratewire key id:" + key).digest()[:_KEY_ID_OCTETS]


def _create_if_missing(path: Path) -> None:
    if path.exists():
        return
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    key = base64.b64encode(secrets.token_bytes(KEY_OCTETS)).decode()
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    # The file appears whole or not at all, and of two processes at once one wins.
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(f"{_FILE_HEAD}{key}\n")
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            path.hardlink_to(draft)
    finally:
        draft.unlink()
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _read_private(path: Path) -> str:
    with path.open(encoding="utf-8", errors="replace") as file:
        status = os.fstat(file.fileno())
        if status.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise KeyringError(
                f"key file {path}: others may use it (mode {stat.S_IMODE(status.st_mode):o});"
                f" allowed is its owner alone: chmod 600 {path}"
            )
        if status.st_uid not in (0, os.geteuid()):
            raise KeyringError(
                f"key file {path}: it belongs to the user {status.st_uid};"
                f" allowed is the user of this process ({os.geteuid()}) or root"
            )
        return file.read()


def _parse(text: str, path: Path) -> list[bytes]:
    keys: list[bytes] = []
    for number, line in enumerate(text.splitlines(), 1):
        written = line.strip()
        if not written or written.startswith("#"):
            continue
        try:
            key = base64.b64decode(written, validate=True)
        except (binascii.Error, ValueError):
            key = b""
        if len(key) != KEY_OCTETS:
            raise KeyringError(
                f"key file {path}:{number}: not a key; allowed is the base64 of {KEY_OCTETS} octets"
            )
        keys.append(key)
    if not keys:
        raise KeyringError(f"key file {path}: there is no key in it")
    return keys
