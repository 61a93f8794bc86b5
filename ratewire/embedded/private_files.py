"""Directories and small files that only we, or the servers' user, may touch.

Root works here in directories that other users own, and in /tmp: no symbolic link is followed,
nothing that existed before is trusted unseen, and mode and owner are set only on what was created
in the same call.
"""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from pathlib import Path

from ratewire.embedded.errors import EmbeddedServersError
from ratewire.embedded.server_user import ServerUser

SHORT_DIRECTORY_PARENT = Path("/tmp")  # noqa: S108 - mkdtemp, and checked before each reuse


def create_directory(path: Path, mode: int, owner: ServerUser | None = None) -> None:
    """Make sure that `path` is a directory; one that is created gets `mode` and `owner`.

    It appears under its name complete, with mode and owner, or not at all, so that being killed
    half-way leaves nothing that looks like somebody else's. An existing directory is left as it is.
    """
    if path.is_dir():
        return
    try:
        _create_complete(path, mode, owner)
    except OSError as error:
        if not path.is_dir():
            # Of the directory that was asked for, and not of what it was to be made from.
            raise OSError(error.errno, error.strerror, str(path)) from error


def _create_complete(path: Path, mode: int, owner: ServerUser | None) -> None:
    unfinished = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}-"))
    try:
        unfinished.chmod(mode)
        if owner is not None and not owner.is_self:
            os.chown(unfinished, owner.uid, owner.gid)
        # Replaces an empty directory and nothing else: of two callers at once both succeed.
        unfinished.rename(path)
    except OSError:
        with contextlib.suppress(OSError):
            unfinished.rmdir()
        raise


def create_parents(path: Path, mode: int) -> None:
    """Make sure that the directories above `path` exist; those created get `mode`."""
    for parent in reversed(path.parents):
        create_directory(parent, mode)


def is_private_directory(path: Path, owner: ServerUser) -> bool:
    """Whether `path` itself (no link to it) is a directory of `owner`, closed to all others."""
    try:
        status = path.lstat()
    except OSError:
        return False
    return (
        stat.S_ISDIR(status.st_mode)
        and status.st_uid == owner.uid
        and stat.S_IMODE(status.st_mode) == 0o700
    )


def require_private_directory(path: Path, owner: ServerUser) -> None:
    """Create `path` for `owner` with mode 0700, or raise EmbeddedServersError if it is otherwise.

    A mode of 0750 passes too: Postgres allows its data directory to be readable by the group.
    """
    create_directory(path, 0o700, owner)
    status = path.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != owner.uid:
        raise EmbeddedServersError(
            f"{path} belongs to uid {status.st_uid}; allowed: a directory of uid {owner.uid}, "
            f"which the embedded servers run as"
        )
    if stat.S_IMODE(status.st_mode) & 0o027:
        raise EmbeddedServersError(
            f"{path} has mode {stat.S_IMODE(status.st_mode):04o}; allowed: 0700, since its files "
            f"hold money and need no password"
        )


def create_short_directory(owner: ServerUser) -> Path:
    """A new private directory of `owner` with a short path, for sockets."""
    path = Path(tempfile.mkdtemp(dir=SHORT_DIRECTORY_PARENT, prefix="ratewire-"))
    if not owner.is_self:
        os.chown(path, owner.uid, owner.gid)
    return path


def claim_short_directory(path: Path, owner: ServerUser) -> bool:
    """Whether `path` is a private directory of `owner`; made again if there is nothing there."""
    try:
        path.mkdir(mode=0o700)
    except FileExistsError:
        return is_private_directory(path, owner)
    except OSError:
        return False
    if not owner.is_self:
        os.chown(path, owner.uid, owner.gid)
    return is_private_directory(path, owner)


def open_private_file(path: Path, flags: int) -> int:
    """Open `path`, creating it with mode 0600 for the owner of its directory; its descriptor.

    Raises OSError (ELOOP) on a symbolic link: the directory may be another user's.
    """
    flags |= os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return os.open(path, flags)
    directory = path.parent.stat()
    if os.geteuid() == 0 and directory.st_uid != 0:
        # Root in a user's clone: that user must be able to go on without root.
        os.fchown(descriptor, directory.st_uid, directory.st_gid)
    return descriptor


def write_record(path: Path, text: str) -> None:
    """Replace the one-line file `path` as a whole, durably."""
    unfinished = path.with_name(f".{path.name}-{os.getpid()}")
    unfinished.unlink(missing_ok=True)
    descriptor = open_private_file(unfinished, os.O_WRONLY)
    with os.fdopen(descriptor, "w", encoding="utf-8", errors="surrogateescape") as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)
    sync_directory(path.parent)


def read_record(path: Path) -> str | None:
    """The line in `path`, or None when there is no such file or nothing in it."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    with os.fdopen(descriptor, encoding="utf-8", errors="surrogateescape") as file:
        return file.readline().rstrip("\n") or None


def sync_directory(path: Path) -> None:
    """Make what was created, renamed or removed in `path` survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
