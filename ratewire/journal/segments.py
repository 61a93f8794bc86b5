"""The files of a journal: appended to, read, and removed as wholes. Blocking; one thread at a time.

A file is named NUMBER-OPENED-SEED.journal: its place in the order, when it was opened (Unix
milliseconds) and the seed of its checksums. Only the newest is appended to, and never one that was
there before: what an interrupted write left is always at the end of a file.
"""

import contextlib
import os
import re
import secrets
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from ratewire.embedded.private_files import open_private_file, sync_directory
from ratewire.journal.frames import Entry, Scan, encode, look, scan

SUFFIX = ".journal"

#: What was found damaged is kept under its name with this behind it, for people to look at.
DAMAGED = ".damaged"

#: A file of this size is followed by another: what is replayed is removed file by file.
SEGMENT_OCTETS = 1024 * 1024

_NAME = re.compile(r"(\d+)-(\d+)-([0-9a-f]{8})\.journal")


class JournalFull(Exception):
    """The journal has reached its bound; nothing of the batch was written."""


class Segment(msgspec.Struct):
    """One file, and what is in it."""

    path: Path
    seed: int
    octets: int = 0
    records: int = 0
    oldest_ms: int | None = None
    """Arrival of its first record."""


class Segments:
    """The files of one directory, in order. Whoever uses it has to hold the directory's lock."""

    def __init__(self, directory: Path, *, max_octets: int, now_ms: Callable[[], int]) -> None:
        """Find what is there. Raises OSError."""
        self._directory = directory
        self._max_octets = max_octets
        self._now_ms = now_ms
        self._closed: deque[Segment] = deque()
        self._open: Segment | None = None
        self._descriptor = -1
        self._number = 0
        for path in sorted(directory.glob(f"*{SUFFIX}")):
            name = _NAME.fullmatch(path.name)
            if name is not None:
                self._number = int(name[1])
                self._closed.append(_found(path, int(name[3], 16)))

    def __len__(self) -> int:
        """How many files there are."""
        return len(self._all())

    @property
    def octets(self) -> int:
        """What the files hold."""
        return sum(each.octets for each in self._all())

    @property
    def records(self) -> int:
        """How many records wait in them."""
        return sum(each.records for each in self._all())

    @property
    def oldest_ms(self) -> int | None:
        """When the oldest of them arrived."""
        return next((each.oldest_ms for each in self._all() if each.oldest_ms is not None), None)

    def append(self, entries: Sequence[Entry]) -> None:
        """Write a batch and make it durable, or raise JournalFull or OSError: then it is not there.

        One write and one fdatasync.
        """
        if self._open is not None and self._open.octets >= SEGMENT_OCTETS:
            self.turn_over()
        segment = self._open or self._begin()
        octets = b"".join(encode(entry, segment.seed) for entry in entries)
        if self.octets + len(octets) > self._max_octets:
            raise JournalFull(f"{self._directory} holds {self.octets} octets")
        try:
            _write(self._descriptor, octets)
            os.fdatasync(self._descriptor)
        except OSError:
            # What is in the file now is not known. It ends where it was good, as far as that can be
            # done, and the next batch goes to another: after a failed sync this one may lie.
            with contextlib.suppress(OSError):
                os.ftruncate(self._descriptor, segment.octets)
            self.turn_over()
            raise
        segment.octets += len(octets)
        segment.records += len(entries)
        if segment.oldest_ms is None and entries:
            segment.oldest_ms = entries[0].arrived_ms

    def turn_over(self) -> None:
        """Close the file that is being written; the next batch begins another.

        One in which nothing is goes: a full disk would leave one behind for each batch.
        """
        if self._open is not None:
            os.close(self._descriptor)
            if self._open.octets:
                self._closed.append(self._open)
            else:
                _unlink(self._open.path)
            self._open, self._descriptor = None, -1

    def oldest(self) -> tuple[Segment, Scan] | None:
        """Read the oldest file, closing it if it is the one being written; None if none is left."""
        if not self._closed:
            self.turn_over()
        if not self._closed:
            return None
        segment = self._closed[0]
        return segment, scan(segment.path.read_bytes(), segment.seed)

    def remove(self, segment: Segment, *, damaged: bool) -> None:
        """Let the oldest file go, all of whose records are in the books; a damaged one is kept."""
        assert segment is self._closed[0]
        if damaged:
            segment.path.rename(segment.path.with_name(segment.path.name + DAMAGED))
        else:
            segment.path.unlink()
        self._closed.popleft()

    def _all(self) -> list[Segment]:
        return [*self._closed, *([] if self._open is None else [self._open])]

    def _begin(self) -> Segment:
        self._number += 1
        seed = secrets.randbits(32)
        path = self._directory / f"{self._number:010d}-{self._now_ms()}-{seed:08x}{SUFFIX}"
        descriptor = open_private_file(path, os.O_WRONLY | os.O_APPEND)
        try:
            sync_directory(self._directory)
        except OSError:
            os.close(descriptor)
            _unlink(path)
            raise
        self._descriptor, self._open = descriptor, Segment(path, seed)
        return self._open


def _found(path: Path, seed: int) -> Segment:
    octets = path.read_bytes()
    records, first = look(octets, seed)
    return Segment(path, seed, len(octets), records, None if first is None else first.arrived_ms)


def _unlink(path: Path) -> None:
    """Remove a file; one that stays is read by the next process that comes, and does no harm."""
    with contextlib.suppress(OSError):
        path.unlink()


def _write(descriptor: int, octets: bytes) -> None:
    """Write all of it, whatever the kernel takes at once."""
    rest = memoryview(octets)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
