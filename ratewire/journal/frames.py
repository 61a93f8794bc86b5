"""What a journal file holds: one frame a datagram, each checked by itself. Pure.

    magic 4 | length of the body 4 | checksum 4 | body
    body: version 1 | flags 1 | arrival 8 | port 2 | length of host 1 | length of client 2
          | host | client | datagram

Integers are big-endian. The checksum is CRC-32 over length and body, begun with the file's own
random seed: a frame that somebody put inside a datagram is none, and none of another file is.
"""

import struct
import zlib

import msgspec

#: The newest version of the body that is written and understood.
VERSION = 1

#: A longer body is damage: the longest datagram, and the longest names, are shorter.
MAX_BODY_OCTETS = 72 * 1024

_MAGIC = b"\xabRWJ"
_HEAD = struct.Struct("!4sII")
_LENGTH = struct.Struct("!I")
_BODY = struct.Struct("!BBQHBH")
_SWAPPED = 1
_UNIT_AT, _UNITS = 1, (1, 2**10, 2**20, 2**30)


class Entry(msgspec.Struct, frozen=True):
    """One accounting datagram that was verified, with all that its meaning depends on."""

    arrived_ms: int
    """When it was read, Unix milliseconds."""
    host: str
    port: int
    name: str
    """Of the NAS client that it came from."""
    swap_octets: bool
    """Whether that client counted its octets the wrong way round (radius.clients.Client)."""
    octet_unit: int
    """What its counters counted as one: 1024 to the power of 0 to 3."""
    octets: bytes
    """The packet, without padding."""


class Damage(msgspec.Struct, frozen=True):
    """Octets with whole frames behind them that are no frame themselves, or of a newer version."""

    at: int
    length: int


class Scan(msgspec.Struct, frozen=True):
    """What was found in a file: its entries in order, and what is not right with it.

    `torn` octets at the end are no whole frame: a write that was interrupted, and so was never
    answered. `damages` have whole frames behind them: something else has happened to the file.
    """

    entries: list[Entry]
    damages: list[Damage]
    torn: int


def encode(entry: Entry, seed: int) -> bytes:
    """Return the frame of an entry, for a file with this seed (32 bits)."""
    host, name = entry.host.encode(), entry.name.encode()
    flags = (_SWAPPED if entry.swap_octets else 0) | _UNITS.index(entry.octet_unit) << _UNIT_AT
    body = b"".join(
        (
            _BODY.pack(VERSION, flags, entry.arrived_ms, entry.port, len(host), len(name)),
            host,
            name,
            entry.octets,
        )
    )
    assert len(body) <= MAX_BODY_OCTETS
    return _HEAD.pack(_MAGIC, len(body), _checksum(body, seed)) + body


def scan(octets: bytes, seed: int) -> Scan:
    """Read all that a file holds. Nothing that it holds makes this raise."""
    entries: list[Entry] = []
    damages: list[Damage] = []
    at = 0
    while at < len(octets):
        body = _body_at(octets, at, seed)
        if body is None:
            end = _next_frame(octets, at + 1, seed)
            if end is None:
                return Scan(entries, damages, len(octets) - at)
            damages.append(Damage(at, end - at))
        else:
            end = at + _HEAD.size + len(body)
            entry = _entry_of(body)
            if entry is None:
                damages.append(Damage(at, end - at))
            else:
                entries.append(entry)
        at = end
    return Scan(entries, damages, 0)


def look(octets: bytes, seed: int) -> tuple[int, Entry | None]:
    """Return how many frames there are by their lengths alone, and the first entry.

    A tenth of the work of `scan`, for a start with much in the journal; damage makes it less exact.
    """
    frames, at = 0, 0
    while len(octets) - at >= _HEAD.size:
        magic, length, _ = _HEAD.unpack_from(octets, at)
        at += _HEAD.size + length
        if magic != _MAGIC or at > len(octets):
            break
        frames += 1
    first = _body_at(octets, 0, seed)
    return frames, None if first is None else _entry_of(first)


def _next_frame(octets: bytes, at: int, seed: int) -> int | None:
    """Where the next whole frame begins; None if there is none."""
    while (at := octets.find(_MAGIC, at)) >= 0:
        if _body_at(octets, at, seed) is not None:
            return at
        at += 1
    return None


def _body_at(octets: bytes, at: int, seed: int) -> bytes | None:
    """The body of the frame that begins there; None if none does."""
    if len(octets) - at < _HEAD.size:
        return None
    magic, length, checksum = _HEAD.unpack_from(octets, at)
    start = at + _HEAD.size
    if magic != _MAGIC or length > MAX_BODY_OCTETS or start + length > len(octets):
        return None
    body = octets[start : start + length]
    return body if _checksum(body, seed) == checksum else None


def _entry_of(body: bytes) -> Entry | None:
    """The entry in a body whose checksum is right; None if a newer version has written it."""
    if len(body) < _BODY.size or body[0] != VERSION:
        return None
    _, flags, arrived_ms, port, host_length, name_length = _BODY.unpack_from(body)
    name_at = _BODY.size + host_length
    octets_at = name_at + name_length
    return Entry(
        arrived_ms,
        body[_BODY.size : name_at].decode(errors="replace"),
        port,
        body[name_at:octets_at].decode(errors="replace"),
        bool(flags & _SWAPPED),
        _UNITS[int(flags) >> _UNIT_AT & 3],
        body[octets_at:],
    )


def _checksum(body: bytes, seed: int) -> int:
    return zlib.crc32(body, zlib.crc32(_LENGTH.pack(len(body)), seed))
