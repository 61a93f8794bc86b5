"""What Valkey and Postgres have in common as servers that we start, find again and stop."""

from __future__ import annotations

import asyncio
import contextlib
import enum
import signal
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Mapping
from pathlib import Path
from typing import ClassVar

from ratewire.embedded import logs
from ratewire.embedded.place import Place
from ratewire.embedded.private_files import read_record
from ratewire.embedded.process import (
    ProcessIdentity,
    command_line,
    effective_uid,
    identify,
    session_leaders,
)
from ratewire.embedded.programs import Programs

LOG_BOUND_OCTETS = 10 * 1024 * 1024
ANSWER_SECONDS = 2


class Answer(enum.Enum):
    """What a server says when asked whether it is ready."""

    READY = "ready"
    LOADING = "loading"
    """It reads its data, or is about to stop: it lives, and waiting makes sense."""
    SILENT = "silent"


class Server(ABC):
    """One server at its place. Its `name` is also that of its files there."""

    name: str
    program_name: str
    stop_signal: signal.Signals
    environment: ClassVar[Mapping[str, str]] = {}
    """What it needs beside the servers' common environment."""

    def __init__(self, place: Place, run_directory: Path) -> None:
        """`run_directory` is where its socket is or will be."""
        self.place = place
        self.run_directory = run_directory
        # Held by the server itself for as long as it, or a process that it forked, lives.
        self.lock_path = place.root / f"{self.name}.lock"
        # What it writes before it has opened its own log.
        self.output_path = place.root / f"{self.name}.out"

    @property
    @abstractmethod
    def data_directory(self) -> Path:
        """Where its data are."""

    @property
    @abstractmethod
    def socket_path(self) -> Path:
        """The Unix socket that it listens on."""

    @property
    @abstractmethod
    def url(self) -> str:
        """How a client connects to it."""

    @property
    @abstractmethod
    def pid_file(self) -> Path:
        """The file whose first line is its pid; written and removed by itself."""

    @property
    @abstractmethod
    def log_file(self) -> Path:
        """The log that it writes, or the place where one will be."""

    @abstractmethod
    def arguments(self) -> list[str]:
        """The command line after the program, all settings included."""

    @abstractmethod
    def prepare(self, programs: Programs) -> None:
        """Make its data directory ready for a start. It does not run. May take seconds."""

    @abstractmethod
    async def answer(self) -> Answer:
        """Ask it over its socket whether it is ready.

        Raises EmbeddedServersError when it says that waiting will not help.
        """

    @abstractmethod
    def bound_logs(self) -> None:
        """Keep its logs within a bound of about ten files of LOG_BOUND_OCTETS."""

    @abstractmethod
    def program(self, programs: Programs) -> Path:
        """Its program among `programs`."""

    def find(self) -> ProcessIdentity | None:
        """Its running process, whoever started it; None when there is none.

        One that was started on a full disk could not record its pid: it is looked for among all
        processes.
        """
        recorded = self.recorded_pid()
        found = None if recorded is None else self._as_ours(recorded)
        return found or next(filter(None, map(self._as_ours, session_leaders())), None)

    def _as_ours(self, pid: int) -> ProcessIdentity | None:
        """The process with a pid, if it is this server.

        It is if it is the servers' user's, is this program and was started with this data
        directory: pids are used again after a crash or a reboot.
        """
        identity = identify(pid)
        if identity is None or effective_uid(identity.pid) != self.place.user.uid:
            return None
        words = command_line(identity.pid)
        program_matches = bool(words) and Path(words[0]).name == self.program_name
        if not program_matches or str(self.data_directory) not in words[1:]:
            return None
        return identity

    def recorded_pid(self) -> int | None:
        """The pid in its pid file, which may be of a process long gone."""
        try:
            recorded = read_record(self.pid_file)
            return int(recorded) if recorded else None
        except (OSError, ValueError):
            return None

    def log_tail(self) -> str:
        """The last lines that it wrote, wherever it wrote them."""
        parts = (logs.tail(self.output_path), logs.tail(self.log_file))
        return "\n".join(part for part in parts if part)


@contextlib.asynccontextmanager
async def connection(
    socket_path: Path,
) -> AsyncGenerator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection to `socket_path`, closed at the end; OSError when nobody listens there."""
    reader, writer = await asyncio.open_unix_connection(str(socket_path))
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
