"""Locks between processes: flock(2) on a file, which the kernel releases when its holder dies."""

from __future__ import annotations

import asyncio
import fcntl
import os
from pathlib import Path
from types import TracebackType

from ratewire.embedded.private_files import open_private_file

POLL_SECONDS = 0.02


class FileLock:
    """One hold on one lock file, shared or exclusive. Two objects on one file exclude each other.

    The lock belongs to the open file, so a child that inherits `fileno()` keeps it held after this
    process has released or died. Lock files are never deleted: that would let two holders lock
    two different files of one name.
    """

    def __init__(self, path: Path) -> None:
        """`path` need not exist; its directory must."""
        self._path = path
        self._descriptor: int | None = None

    @property
    def is_held(self) -> bool:
        """Whether this object holds the lock."""
        return self._descriptor is not None

    def fileno(self) -> int:
        """The descriptor that carries the lock, to be inherited by a child."""
        assert self._descriptor is not None, f"{self._path} is not locked"
        return self._descriptor

    def try_acquire(self, *, shared: bool = False) -> bool:
        """Take the lock if nobody is in the way; whether it was taken. Never waits."""
        assert self._descriptor is None, f"{self._path} is locked already"
        descriptor = open_private_file(self._path, os.O_RDWR)
        try:
            fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor
        return True

    async def acquire(self, *, shared: bool = False, timeout_seconds: float) -> bool:
        """Take the lock within `timeout_seconds`; whether it was taken.

        It is polled because a thread blocked in flock(2) could not be cancelled.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_seconds
        while not self.try_acquire(shared=shared):
            if loop.time() >= deadline:
                return False
            await asyncio.sleep(POLL_SECONDS)
        return True

    def release(self) -> None:
        """Give up this process's hold; nothing happens when there is none.

        The file is closed, not unlocked: an unlock would also end the hold of a child that
        inherited it.
        """
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> FileLock:
        """The lock, which must be held already, to be released at the end of the block."""
        assert self.is_held
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Release."""
        self.release()
