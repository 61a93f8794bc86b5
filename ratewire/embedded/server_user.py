"""The user the servers run as, and what that user can reach.

Postgres refuses to run as root, so root starts both servers as an existing unprivileged user.
What such a user may execute, read or enter is found by trying it as that user: modes alone do
not tell (ACLs, mount options, security modules).
"""

from __future__ import annotations

import os
import pwd
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import msgspec

from ratewire.embedded.errors import EmbeddedServersError

UNPRIVILEGED_NAME = "nobody"
PROBE_SECONDS = 30


class ServerUser(msgspec.Struct, frozen=True):
    """An effective uid and gid; supplementary groups are dropped when it is not our own."""

    uid: int
    gid: int

    @property
    def is_self(self) -> bool:
        """Whether this process already is that user."""
        return self.uid == os.geteuid()

    def require_name(self) -> None:
        """Raise EmbeddedServersError unless this uid has a name on the system, as initdb wants."""
        try:
            pwd.getpwuid(self.uid)
        except KeyError:
            raise EmbeddedServersError(
                f"uid {self.uid} has no name on this system (no entry in /etc/passwd), and Postgres"
                f" creates no data for such a user; add an entry (as root: useradd --uid "
                f"{self.uid} --no-create-home ratewire), run as another user, or set database.url"
            ) from None

    def run(
        self, argv: Sequence[str], *, stdin: bytes = b"", timeout_seconds: float = PROBE_SECONDS
    ) -> subprocess.CompletedProcess[bytes]:
        """Run `argv` as this user to its end; output and errors come together in `stdout`.

        It runs in a session of its own, so that a Ctrl-C meant for us does not end it half-way.
        Raises OSError when it cannot be executed, subprocess.TimeoutExpired when it takes longer.
        """
        return subprocess.run(  # noqa: S603 - argv is ours, no shell
            argv,
            input=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=timeout_seconds,
            check=False,
            # This user may not be able to enter our working directory.
            cwd="/",
            env=child_environment(os.environ),
            start_new_session=True,
            umask=0o077,
            user=None if self.is_self else self.uid,
            group=None if self.is_self else self.gid,
            extra_groups=None if self.is_self else [],
        )

    def can_execute(self, program: Path) -> bool:
        """Whether `program --version` runs as this user."""
        try:
            return self.run([str(program), "--version"]).returncode == 0
        except OSError:
            return False

    def can_read(self, files: Iterable[Path]) -> bool:
        """Whether this user may read every one of `files`."""
        script = 'while IFS= read -r file; do test -r "$file" || exit 1; done'
        names = "".join(f"{file}\n" for file in files)
        return self.run(["/bin/sh", "-c", script], stdin=os.fsencode(names)).returncode == 0

    def can_enter(self, directory: Path) -> bool:
        """Whether this user may use paths below `directory`."""
        return self.run(["/bin/sh", "-c", 'cd "$1"', "sh", str(directory)]).returncode == 0

    def closed_directory_above(self, path: Path) -> Path:
        """The first directory on the way to `path`, or `path`, that this user may not enter."""
        for directory in [*reversed(path.parents), path]:
            if not self.can_enter(directory):
                return directory
        return path


def child_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment of the servers: nothing of ours that could change what they do.

    LD_LIBRARY_PATH is kept, since on some systems it is how libz is found.
    """
    kept = {name: environ[name] for name in ("LD_LIBRARY_PATH",) if name in environ}
    return {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC", "HOME": "/"} | kept


def choose_server_user(data_dir: Path, existing_data: Sequence[Path]) -> ServerUser:
    """Who the servers run as: ourselves; for root, whoever owns the data, else `nobody`.

    `data_dir` exists; of `existing_data` those that do not exist are passed over. So root finds
    the servers of an ordinary user's clone as that user left them.
    Raises EmbeddedServersError when root can find or become no such user.
    """
    if os.geteuid() != 0:
        return ServerUser(os.geteuid(), os.getegid())
    for path in [*existing_data, data_dir]:
        if path.is_dir() and path.stat().st_uid != 0:
            user = ServerUser(path.stat().st_uid, path.stat().st_gid)
            break
    else:
        try:
            entry = pwd.getpwnam(UNPRIVILEGED_NAME)
        except KeyError:
            raise EmbeddedServersError(
                f"Postgres does not run as root and there is no user {UNPRIVILEGED_NAME!r} to run "
                f"it as; run as an ordinary user, or set store.url and database.url"
            ) from None
        user = ServerUser(entry.pw_uid, entry.pw_gid)
    _require_switch(user)
    return user


def _require_switch(user: ServerUser) -> None:
    try:
        user.run(["/bin/sh", "-c", ":"])
    except OSError as error:
        raise EmbeddedServersError(
            f"Postgres does not run as root, and this process may not become uid {user.uid} "
            f"({error.strerror}); run as an ordinary user, or set store.url and database.url"
        ) from error
