"""Where the processes of one supervisor count what they measure, for one of them to tell of all.

The directory is locked by the supervisor and, by inheritance, by its processes. So what killed ones
have left is known by its lock, which nobody holds, and goes when the next supervisor starts.
"""

import contextlib
import fcntl
import os
import shutil
import stat
import tempfile
from pathlib import Path
from typing import Final

_PREFIX: Final = "ratewire-metrics-"

#: The files of a process, as prometheus_client names them, and how large it makes each at first.
#: What we count takes less than half of it, so none grows.
_KINDS: Final = ("counter", "histogram", "gauge_livesum", "gauge_livemax")
_FILE_OCTETS: Final = 64 * 1024


class MetricsDirectory:
    """A private directory of this process's own, until it is removed."""

    def __init__(self, parent: Path | None = None) -> None:
        """Make one in `parent` (the system's directory of temporary files unless given).

        Those that were left there by killed processes of this user are removed.
        """
        parent = Path(tempfile.gettempdir()) if parent is None else parent
        for path in parent.glob(f"{_PREFIX}*"):
            _remove_if_left(path)
        while True:
            self.path = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
            lock = _locked(self.path)
            if lock is not None and self.path.exists():
                break
            # Another one, which starts just now, took it for left behind.
            if lock is not None:
                os.close(lock)
        self._lock = lock

    def fileno(self) -> int:
        """The descriptor of the lock, for the processes that write here."""
        return self._lock

    def remove(self) -> None:
        """Remove it, with all that is in it."""
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._lock)


def reserve(directory: Path, pid: int) -> None:
    """Make the files of a process, with all the disk that they take. Raises OSError.

    prometheus_client makes them as holes and maps them: with the disk full, the kernel kills
    whoever writes there (SIGBUS).
    """
    for kind in _KINDS:
        path = directory / f"{kind}_{pid}.db"
        if path.exists():  # of a process that had this pid before: it is counted on
            continue
        unfinished = directory / f".{path.name}.unfinished"
        descriptor = os.open(unfinished, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(descriptor, 0, _FILE_OCTETS)
            unfinished.rename(path)
        except OSError:
            unfinished.unlink()
            raise
        finally:
            os.close(descriptor)


def _locked(path: Path) -> int | None:
    """The descriptor of a directory that nobody else has locked; None if somebody has, or had."""
    descriptor: int | None = None
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, FileNotFoundError):
        if descriptor is not None:
            os.close(descriptor)
        return None
    return descriptor


def _remove_if_left(path: Path) -> None:
    """Remove a directory of ours that nobody uses; anybody can put anything into /tmp."""
    with contextlib.suppress(OSError):
        status = path.lstat()
        if status.st_uid != os.geteuid() or not stat.S_ISDIR(status.st_mode):
            return
        lock = _locked(path)
        if lock is not None:
            shutil.rmtree(path, ignore_errors=True)
            os.close(lock)
