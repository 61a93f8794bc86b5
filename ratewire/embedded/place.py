"""Where the embedded servers' data, sockets and programs are, and who owns them.

    DATA_DIR/               what the settings name; everything is here, unless:
      embedded-path           names the place instead, when the servers' user cannot reach DATA_DIR
    PLACE/                  DATA_DIR, or /var/lib/ratewire/ID
      start.lock users.lock   see servers.py
      valkey.lock valkey.out  held by, and early output of, the running server
      postgres.lock postgres.out
      valkey/ postgres/       data, 0700, owned by the servers' user
      run/                    sockets, 0700, owned by the servers' user, unless:
      run-path                names a short directory instead, when run/ does not suit a socket
      programs/               a copy of the programs, when the wheels' own cannot be reached

PLACE and the files directly in it belong to whoever starts the servers, and only the directories
that the servers write belong to their user: root never follows what that user could rename.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import stat
from pathlib import Path

import msgspec

from ratewire.embedded.errors import EmbeddedServersError
from ratewire.embedded.private_files import (
    claim_short_directory,
    create_directory,
    create_parents,
    create_short_directory,
    read_record,
    require_private_directory,
    write_record,
)
from ratewire.embedded.programs import Programs
from ratewire.embedded.server_user import ServerUser, choose_server_user

logger = logging.getLogger(__name__)

SYSTEM_DIRECTORY = Path("/var/lib/ratewire")
SYSTEM_DIRECTORY_RECORD = "embedded-path"
RUN_DIRECTORY_RECORD = "run-path"

# sun_path has 108 octets and ends with a NUL (unix(7)); the longest name in the directory counts.
SOCKET_PATH_OCTETS = 107
LONGEST_SOCKET_NAME = ".s.PGSQL.5432"
# Postgres separates socket directories by commas and its clients hosts; keep what needs no quoting.
_PLAIN_PATH = re.compile(r"[A-Za-z0-9_./-]+")


class Place(msgspec.Struct, frozen=True):
    """Where one installation's servers live. `root` is PLACE above and exists."""

    data_dir: Path
    root: Path
    user: ServerUser

    @property
    def start_lock(self) -> Path:
        """Locked while somebody starts or stops servers here."""
        return self.root / "start.lock"

    @property
    def users_lock(self) -> Path:
        """Shared by every process that uses the servers."""
        return self.root / "users.lock"

    @property
    def valkey_data(self) -> Path:
        """The Valkey data directory."""
        return self.root / "valkey"

    @property
    def postgres_data(self) -> Path:
        """The Postgres data directory."""
        return self.root / "postgres"

    @property
    def programs_directory(self) -> Path:
        """Where copies of the programs are, if there are any."""
        return self.root / "programs"

    def run_directory(self) -> Path:
        """The directory of the sockets as it is now; it may not exist yet."""
        own = self.root / "run"
        if suits_a_socket(own):
            return own
        recorded = read_record(self.root / RUN_DIRECTORY_RECORD)
        return own if recorded is None else Path(recorded)

    def prepare_run_directory(self) -> Path:
        """Create or check the directory of the sockets. Only under the start lock.

        A recorded short directory is used again under its name, so that URLs stay valid, only if
        it still is, or can again be made, a directory of the servers' user with mode 0700: /tmp
        is anybody's to write, and is emptied at boot.
        """
        own = self.root / "run"
        if suits_a_socket(own):
            require_private_directory(own, self.user)
            return own
        recorded = read_record(self.root / RUN_DIRECTORY_RECORD)
        if recorded is not None and claim_short_directory(Path(recorded), self.user):
            return Path(recorded)
        short = create_short_directory(self.user)
        write_record(self.root / RUN_DIRECTORY_RECORD, str(short))
        logger.info("the sockets are in %s, since %s does not suit a socket", short, own)
        return short

    def prepare_programs(self, programs: Programs) -> Programs:
        """`programs`, or a copy of them in this place if the servers' user cannot use them.

        Only under the start lock. Raises EmbeddedServersError when the copy is of no use either.
        """
        if self.user.is_self or programs.usable_by(self.user):
            return _require_shell_path(programs)
        copied = programs.copied_below(self.programs_directory)
        if not copied.valkey_server.exists():
            closed = self.user.closed_directory_above(programs.postgres)
            logger.info(
                "uid %d may not use %s: copying the servers' programs to %s",
                self.user.uid,
                closed,
                self.programs_directory,
            )
        _require_shell_path(copied)
        copied = programs.copy_below(self.programs_directory)
        if not copied.usable_by(self.user):
            raise EmbeddedServersError(
                f"uid {self.user.uid} cannot execute {copied.postgres} (is it on a file system "
                f"mounted noexec?); set store.url and database.url, or another data.dir"
            )
        return copied


def _require_shell_path(programs: Programs) -> Programs:
    """`programs`, unless initdb, which runs postgres by a shell in double quotes, cannot."""
    if set(str(programs.postgres_home)) & set('"$`\\'):
        raise EmbeddedServersError(
            f'initdb cannot run programs in {programs.postgres_home}: a path with one of " $ ` \\ '
            f"is not for it; set another data.dir and install elsewhere, or set store.url and "
            f"database.url"
        )
    return programs


def suits_a_socket(directory: Path) -> bool:
    """Whether sockets in `directory` have paths that bind and that URLs carry without quoting."""
    longest = os.fsencode(directory / LONGEST_SOCKET_NAME)
    plain = _PLAIN_PATH.fullmatch(str(directory)) is not None
    return plain and len(longest) <= SOCKET_PATH_OCTETS


def find_place(data_dir: Path) -> Place | None:
    """The place that earlier runs have claimed for `data_dir`, or None. Creates nothing.

    Raises EmbeddedServersError when this user may not look.
    """
    data_dir = data_dir.resolve()
    try:
        if not data_dir.is_dir():
            return None
        root = _recorded_root(data_dir)
        if root is None:
            if not any(path.is_dir() for path in _server_directories(data_dir)):
                return None
            root = data_dir
        _require_writable(root)
        return Place(data_dir=data_dir, root=root, user=_user_of(root))
    except OSError as error:
        raise EmbeddedServersError(
            f"whether embedded servers live in {data_dir} cannot be seen: {error}"
        ) from error


def claim_place(data_dir: Path, system_directory: Path = SYSTEM_DIRECTORY) -> Place:
    """The place for `data_dir`, created if it does not exist. Any number of callers agree.

    Root's servers run as another user. Where that user cannot reach `data_dir`, the place is a
    directory of `system_directory`, recorded in `data_dir` for later runs.
    Raises EmbeddedServersError when data that exist cannot be reached, and when there is no place.
    """
    data_dir = data_dir.resolve()
    # Root's directory must let the servers' user pass; nothing in it can be listed or read.
    mode = 0o711 if os.geteuid() == 0 else 0o700
    try:
        _require_directories(data_dir)
        create_parents(data_dir, mode)
        create_directory(data_dir, mode)
        return _claim(data_dir, system_directory)
    except OSError as error:
        raise EmbeddedServersError(
            f"the embedded servers cannot live in {data_dir}: {error}; set another data.dir, or "
            f"store.url and database.url"
        ) from error


def _claim(data_dir: Path, system_directory: Path) -> Place:
    recorded = _recorded_root(data_dir)
    root = data_dir if recorded is None else recorded
    _require_writable(root)
    user = _user_of(root)
    if recorded is not None:
        return Place(data_dir=data_dir, root=recorded, user=user)
    if user.is_self or user.can_enter(data_dir):
        return Place(data_dir=data_dir, root=data_dir, user=user)
    closed = user.closed_directory_above(data_dir)
    for directory in _server_directories(data_dir):
        if directory.is_dir() and any(directory.iterdir()):
            raise EmbeddedServersError(
                f"the data in {directory} are the embedded servers', which run as uid {user.uid}, "
                f"and {closed} has been closed to it; let uid {user.uid} pass there again"
            )
    root = _system_root(data_dir, system_directory, user)
    write_record(data_dir / SYSTEM_DIRECTORY_RECORD, str(root))
    logger.info("uid %d may not enter %s: the embedded servers live in %s", user.uid, closed, root)
    return Place(data_dir=data_dir, root=root, user=user)


def _server_directories(root: Path) -> tuple[Path, Path]:
    return (root / "postgres", root / "valkey")


def _user_of(root: Path) -> ServerUser:
    return choose_server_user(root, _server_directories(root))


def _recorded_root(data_dir: Path) -> Path | None:
    record = data_dir / SYSTEM_DIRECTORY_RECORD
    recorded = read_record(record)
    if recorded is None:
        return None
    root = Path(recorded)
    if not root.is_dir():
        # Beginning anew with empty books would look like a working system.
        raise EmbeddedServersError(
            f"{record} says that the embedded servers' data are in {root}, which does not exist; "
            f"bring it back, or remove {record} to begin with empty databases"
        )
    _require_ours(root)
    return root


def _system_root(data_dir: Path, system_directory: Path, user: ServerUser) -> Path:
    identifier = hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:16]
    root = system_directory / identifier
    create_parents(root, 0o711)
    create_directory(root, 0o711)
    _require_ours(root)
    if not user.can_enter(root):
        raise EmbeddedServersError(
            f"the embedded servers run as uid {user.uid}, which may enter neither {data_dir} nor "
            f"{root} ({user.closed_directory_above(root)} is closed to it); set another data.dir, "
            f"or store.url and database.url"
        )
    return root


def _require_directories(data_dir: Path) -> None:
    for path in [*reversed(data_dir.parents), data_dir]:
        if path.exists() and not path.is_dir():
            raise EmbeddedServersError(
                f"the embedded servers cannot live in {data_dir}: {path} is a file and not a "
                f"directory; set another data.dir, or store.url and database.url"
            )


def _require_writable(root: Path) -> None:
    if os.statvfs(root).f_flag & os.ST_RDONLY:
        raise EmbeddedServersError(
            f"{root} is on a file system that is mounted read-only; mount it writable, or set "
            f"another data.dir"
        )
    if not os.access(root, os.W_OK | os.X_OK, effective_ids=True):
        raise EmbeddedServersError(
            f"{root} belongs to uid {root.stat().st_uid} and this process may not write there; run "
            f"as that user, or set another data.dir"
        )


def _require_ours(root: Path) -> None:
    """Root runs programs from here and writes files: nobody else may be able to replace them."""
    for path in (root, root.parent):
        status = path.stat()
        if (
            not stat.S_ISDIR(status.st_mode)
            or status.st_uid not in (0, os.geteuid())
            or (status.st_mode & 0o022 and not status.st_mode & stat.S_ISVTX)
        ):
            raise EmbeddedServersError(
                f"{path} must be a directory of root or ours that nobody else may write; it has "
                f"uid {status.st_uid} and mode {stat.S_IMODE(status.st_mode):04o}"
            )
