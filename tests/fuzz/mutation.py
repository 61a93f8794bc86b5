"""Hostile datagrams, made by seed: most are real records, mutated, and then signed or not.

Those that are signed after they were mutated get past the authenticator, to the decoder behind it.
"""

import hashlib
import hmac
import random
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from tests.fuzz.vocabulary import (
    ACCOUNTING_REQUEST,
    MESSAGE_AUTHENTICATOR,
    NUMBERS,
    PROXY_STATE,
    READ_TYPES,
    SIZES,
    STATUS_SERVER,
    TEXTS,
    VENDOR_ATTRIBUTES,
    VENDOR_SPECIFIC,
    Source,
    attribute,
    records,
)

#: Mutated records that are kept to be mutated further.
_POOL = 256
#: Sent datagrams that are kept to be sent again.
_REPLAYS = 64
_LONGEST_UDP = 65_507


class Datagram(msgspec.Struct, frozen=True, gc=False):
    """One datagram and where it comes from."""

    octets: bytes
    source: Source
    port: int


class Mutator:
    """An endless row of datagrams, the same for the same arguments.

    The records that it begins with are those of a user at `now` (Unix seconds).
    """

    def __init__(
        self,
        seed: int,
        sources: Sequence[Source],
        *,
        now: int,
        user: str = "user0001@isp.example",
        ports: range = range(49152, 49156),
    ) -> None:
        self._chance = random.Random(seed)
        self._random = self._chance.random
        self._sources = sources
        self._ports = ports
        self._records = records(user, now)
        self._pool: list[list[bytes]] = list(self._records)
        self._sent: list[Datagram] = []
        self._changes: tuple[Callable[[list[bytes]], None], ...] = (
            *(self._put_number, self._put_number, self._put_text, self._put_text),
            *(self._drop, self._repeat, self._splice, self._retype, self._resize),
            *(self._insert, self._lie, self._add_vendor, self._add_proxies, self._shuffle),
        )

    def next(self) -> Datagram:
        """The next datagram."""
        draw = self._random()
        if draw < 0.1 and self._sent:
            return self._replay()
        if draw < 0.12:
            made = Datagram(self._noise(), self._pick(self._sources), self._pick(self._ports))
        else:
            made = self._made()
        if len(self._sent) < _REPLAYS:
            self._sent.append(made)
        else:
            self._sent[self._below(_REPLAYS)] = made
        return made

    def _pick(self, among: Sequence[Any]) -> Any:
        return among[int(self._random() * len(among))]

    def _below(self, bound: int) -> int:
        return int(self._random() * bound)

    def _octets(self, count: int) -> bytes:
        return self._chance.getrandbits(8 * count).to_bytes(count) if count else b""

    # Whole datagrams --------------------------------------------------------------------------

    def _replay(self) -> Datagram:
        """One that was sent: again, from another port or host, or with a new identifier."""
        old: Datagram = self._pick(self._sent)
        draw = self._random()
        if draw < 0.6:
            return old
        if draw < 0.75:
            return msgspec.structs.replace(old, port=self._pick(self._ports))
        if draw < 0.9:
            return msgspec.structs.replace(old, source=self._pick(self._sources))
        octets = bytearray(old.octets)
        if len(octets) > 1:
            octets[1] = self._below(256)
        return msgspec.structs.replace(old, octets=bytes(octets))

    def _noise(self) -> bytes:
        """Octets without a meaning, from none to as many as UDP carries."""
        draw = self._random()
        if draw < 0.1:
            return b""
        if draw < 0.85:
            return self._octets(self._below(64))
        size: int = self._pick((4095, 4096, 4097, _LONGEST_UDP))
        length = min(size, self._pick((size, 4095, 4096, 65535)))
        return bytes((self._pick((1, 4, 12)), 1)) + length.to_bytes(2) + bytes(size - 4)

    def _made(self) -> Datagram:
        """A packet of attributes in an envelope that is right, or wrong somewhere."""
        source: Source = self._pick(self._sources)
        draw = self._random()
        if draw < 0.003:
            body = self._flood()
        else:
            chosen = self._records if draw < 0.3 else self._pool
            parts: list[bytes] = list(self._pick(chosen))
            for _ in range(self._below(4) if draw < 0.9 else self._below(16)):
                self._pick(self._changes)(parts)
            if len(parts) < 80:
                self._keep(parts)
            body = b"".join(parts)
            if draw > 0.85:
                body = self._damaged(body)
        octets = self._signed(body, source)
        if self._random() < 0.12:
            octets = self._damaged(octets)
        return Datagram(octets, source, self._pick(self._ports))

    def _keep(self, parts: list[bytes]) -> None:
        if len(self._pool) < _POOL:
            self._pool.append(parts)
        else:
            self._pool[self._below(_POOL)] = parts

    def _flood(self) -> bytes:
        """As many attributes as fit, or more: of one type, or of all."""
        value = self._octets(self._pick((0, 1, 4, 253)))
        room = self._pick((4075, 4076, 4100))
        kind = self._pick((PROXY_STATE, PROXY_STATE, 25, 26, 80, 1, 255, None))
        parts = list(self._pick(self._records))
        size = sum(map(len, parts))
        while size + len(value) + 2 <= room:
            parts.append(attribute(self._below(256) if kind is None else kind, value))
            size += len(value) + 2
        return b"".join(parts)

    def _signed(self, body: bytes, source: Source) -> bytes:
        """The packet: code, identifier, Length, and mostly the authenticator that fits them."""
        draw, identifier = self._random(), self._below(8)
        code = ACCOUNTING_REQUEST
        if draw < 0.06:
            code = STATUS_SERVER if draw < 0.03 else self._below(256)
        size = 20 + len(body)
        draw = self._random()
        length = size
        if draw < 0.03:
            length = self._pick((0, 19, 20, size - 1, size + 1, 4095, 4096, 4097, 65535))
        elif draw < 0.05:
            body += self._octets(self._below(40))  # padding behind Length
        secret = source.secret or self._pick(self._sources).secret or b"none"
        if self._random() < 0.05:
            secret = self._pick((b"", b"wrong", self._pick(self._sources).secret or b"x"))
        head = bytes((code, identifier)) + length.to_bytes(2)
        if code == STATUS_SERVER:
            return self._status_server(identifier, body, secret)
        if self._random() < 0.04:
            return head + self._pick((bytes(16), b"\xff" * 16, self._octets(16))) + body
        covered = body[: max(0, length - 20)]
        if self._random() < 0.04 and length == size <= 4077:
            return _with_hmac(code, identifier, body, secret)
        return head + _md5(head + bytes(16) + covered + secret) + body

    def _status_server(self, identifier: int, body: bytes, secret: bytes) -> bytes:
        """A Status-Server, half of them with nothing but a right Message-Authenticator."""
        body = b"" if self._random() < 0.5 else body[:4000]
        length = (20 + len(body) + 18).to_bytes(2)
        head = bytes((STATUS_SERVER, identifier)) + length + self._octets(16)
        blank = head + body + attribute(MESSAGE_AUTHENTICATOR, bytes(16))
        return blank[:-16] + hmac.digest(secret, blank, "md5")

    def _damaged(self, octets: bytes) -> bytes:
        """A few bits or octets changed, or the end cut off."""
        if not octets:
            return octets
        draw = self._random()
        if draw < 0.25:
            return octets[: self._below(len(octets))]
        changed = bytearray(octets)
        for _ in range(1 + self._below(3)):
            at = self._below(len(changed))
            if draw < 0.6:
                changed[at] ^= 1 << self._below(8)
            elif draw < 0.9:
                changed[at] = self._below(256)
            else:
                changed[at:at] = self._octets(1 + self._below(4))
        return bytes(changed)

    # Changes of one attribute among others ------------------------------------------------------

    def _put_number(self, parts: list[bytes]) -> None:
        self._put(parts, self._pick(NUMBERS) if self._random() < 0.8 else self._octets(4))

    def _put_text(self, parts: list[bytes]) -> None:
        kind = self._pick((1, 44, 32, 1, 44, 32, 25, 30, 31, 87, 89))
        value = self._pick(TEXTS) if self._random() < 0.9 else self._octets(self._below(254))
        parts[:] = [part for part in parts if part[0] != kind]
        parts.append(attribute(kind, value))

    def _put(self, parts: list[bytes], value: bytes) -> None:
        """In place of the value of one of the attributes with as long a value, if there is one."""
        fitting = [n for n, part in enumerate(parts) if len(part) == len(value) + 2]
        if fitting:
            at = self._pick(fitting)
            parts[at] = parts[at][:2] + value

    def _drop(self, parts: list[bytes]) -> None:
        if parts:
            del parts[self._below(len(parts))]

    def _repeat(self, parts: list[bytes]) -> None:
        if parts:
            parts.insert(self._below(len(parts) + 1), self._pick(parts))

    def _splice(self, parts: list[bytes]) -> None:
        """The beginning of this one, the end of another."""
        other = self._pick(self._pool)
        parts[self._below(len(parts) + 1) :] = other[self._below(len(other) + 1) :]

    def _retype(self, parts: list[bytes]) -> None:
        if parts:
            at = self._below(len(parts))
            parts[at] = bytes((self._kind(),)) + parts[at][1:]

    def _resize(self, parts: list[bytes]) -> None:
        if parts:
            at, size = self._below(len(parts)), self._pick(SIZES)
            parts[at] = attribute(parts[at][0], parts[at][2:].ljust(size, b"\x01")[:size])

    def _insert(self, parts: list[bytes]) -> None:
        parts.append(attribute(self._kind(), self._octets(self._pick(SIZES))))

    def _lie(self, parts: list[bytes]) -> None:
        """A length octet that is not true."""
        if parts:
            at = self._below(len(parts))
            part = parts[at]
            lies = (0, 1, 2, 255, max(0, len(part) - 1), min(255, len(part) + 1))
            parts[at] = part[:1] + bytes((self._pick(lies),)) + part[2:]

    def _add_vendor(self, parts: list[bytes]) -> None:
        """A vendor's attributes, at times some inside each other."""
        made: bytes = self._pick(VENDOR_ATTRIBUTES)
        for _ in range(self._below(8)):
            made = attribute(VENDOR_SPECIFIC, self._octets(4) + made)
        parts.append(made)

    def _add_proxies(self, parts: list[bytes]) -> None:
        size = self._pick(SIZES)
        parts += [attribute(PROXY_STATE, self._octets(size)) for _ in range(1 + self._below(6))]

    def _shuffle(self, parts: list[bytes]) -> None:
        self._chance.shuffle(parts)

    def _kind(self) -> int:
        return self._pick(READ_TYPES) if self._random() < 0.8 else self._below(256)


def _with_hmac(code: int, identifier: int, body: bytes, secret: bytes) -> bytes:
    """A request with a right Message-Authenticator at its end, and a right authenticator."""
    head = bytes((code, identifier)) + (20 + len(body) + 18).to_bytes(2)
    blank = head + bytes(16) + body + attribute(MESSAGE_AUTHENTICATOR, bytes(16))
    body = blank[20:-16] + hmac.digest(secret, blank, "md5")
    return head + _md5(head + bytes(16) + body + secret) + body


def _md5(octets: bytes) -> bytes:
    return hashlib.md5(octets, usedforsecurity=False).digest()
