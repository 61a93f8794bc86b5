"""Which directory of the journal belongs to whom: each to one process at a time, by a lock.

    <data.dir>/journal/<number>/NUMBER-OPENED-SEED.journal    what waits, in order
    <data.dir>/journal/<number>/aside/...                     what the books did not take
    <data.dir>/journal/<number>/lock

A listener takes the number of its slot, or the next in steps of MOST_SLOTS if another process has
that. What a process left behind that is no more, with fewer workers than before or none, is taken
over by any listener that is there.
"""

import itertools
import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from ratewire.embedded.locks import FileLock
from ratewire.embedded.private_files import create_directory, sync_directory
from ratewire.embedded.server_user import ServerUser
from ratewire.journal.segments import SUFFIX, Segments

#: As many listeners as one installation may have (radius.workers).
MOST_SLOTS = 256

_ASIDE = "aside"


class Slot:
    """A directory that is ours until `close`."""

    def __init__(
        self, directory: Path, lock: FileLock, max_octets: int, now_ms: Callable[[], int]
    ) -> None:
        """`lock` is held, and is released by `close`. Raises OSError."""
        self.directory = directory
        self._lock = lock
        self.waiting = Segments(directory, max_octets=max_octets, now_ms=now_ms)
        _private_directory(directory / _ASIDE)
        self.aside = Segments(directory / _ASIDE, max_octets=max_octets, now_ms=now_ms)

    def close(self) -> None:
        """Let the directory go to whoever wants it."""
        self.waiting.turn_over()
        self.aside.turn_over()
        self._lock.release()


class Standing(msgspec.Struct, frozen=True):
    """What waits in all directories of a machine, as anybody may see it."""

    octets: int
    since: datetime

    def __str__(self) -> str:
        """For readiness and logs."""
        return f"journaling since {self.since:%Y-%m-%d %H:%M:%S} UTC: {self.octets} octets wait"


def claim(root: Path, slot: int, *, max_octets: int, now_ms: Callable[[], int]) -> Slot:
    """Take a directory for a listener's slot, creating it if need be. Raises OSError."""
    for number in itertools.count(slot, MOST_SLOTS):
        directory = root / str(number)
        _private_directory(root.parent)
        _private_directory(root)
        _private_directory(directory)
        lock = FileLock(directory / "lock")
        if lock.try_acquire():
            return _opened(directory, lock, max_octets, now_ms)
    raise AssertionError("the numbers do not end")


def abandoned(root: Path, *, max_octets: int, now_ms: Callable[[], int]) -> Iterator[Slot]:
    """Take the directories in which something waits, and whose process is no more."""
    for directory in sorted(root.iterdir()):
        if not any(directory.glob(f"**/*{SUFFIX}")):
            continue
        lock = FileLock(directory / "lock")
        if lock.try_acquire():
            yield _opened(directory, lock, max_octets, now_ms)


def is_empty(root: Path) -> bool:
    """Whether nothing waits or is set aside in any directory."""
    return not any(root.glob(f"*/**/*{SUFFIX}"))


def standing(root: Path) -> Standing | None:
    """Return what waits in all directories; None if nothing does. Raises OSError."""
    octets, since_ms = 0, 0
    for path in root.glob(f"*/*{SUFFIX}"):
        try:
            size = path.stat().st_size
        except FileNotFoundError:
            continue  # replayed in this moment
        if size:
            opened_ms = int(path.name.split("-")[1])
            since_ms = min(since_ms or opened_ms, opened_ms)
            octets += size
    if not octets:
        return None
    return Standing(octets, datetime.fromtimestamp(since_ms / 1000, UTC))


def _opened(directory: Path, lock: FileLock, max_octets: int, now_ms: Callable[[], int]) -> Slot:
    try:
        return Slot(directory, lock, max_octets, now_ms)
    except BaseException:
        lock.release()
        raise


def _private_directory(path: Path) -> None:
    """Make sure that a directory is there, and stays: closed to others if it is made now.

    Root makes it for the owner of the directory above, who must be able to go on without root.
    """
    if path.is_dir():
        return
    above = path.parent.stat()
    owner = ServerUser(above.st_uid, above.st_gid) if os.geteuid() == 0 else None
    create_directory(path, 0o700, owner)
    sync_directory(path.parent)
