"""The embedded Valkey: durable to the last acknowledged command, never evicting, no TCP port."""

from __future__ import annotations

import signal
from asyncio import timeout
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from ratewire.embedded import logs
from ratewire.embedded.place import Place
from ratewire.embedded.private_files import require_private_directory
from ratewire.embedded.programs import Programs
from ratewire.embedded.server import (
    ANSWER_SECONDS,
    LOG_BOUND_OCTETS,
    Answer,
    Server,
    connection,
)


class Valkey(Server):
    """One Valkey server, configured by its command line alone."""

    name = "valkey"
    program_name = "valkey-server"
    # It syncs the append-only file and exits; with `save ""` it writes no snapshot.
    stop_signal = signal.SIGTERM

    # A commit is a command of a hundred kilobytes, and makes as many small objects as it has
    # arguments. With its usual bounds glibc's malloc gives their memory back and fetches it anew
    # for each: a tenth of what a record costs the store (`python -m bench.stages`).
    environment: ClassVar[Mapping[str, str]] = {
        "GLIBC_TUNABLES": ":".join(
            (
                f"glibc.malloc.mmap_threshold={32 << 20}",
                f"glibc.malloc.trim_threshold={64 << 20}",
                # As many of a size as a commit makes, and no more: what is kept of one size serves
                # no other, and adds up to memory that is not the data's (`make soak`).
                "glibc.malloc.tcache_count=1024",
                "glibc.malloc.tcache_max=1032",
            )
        )
    }

    def __init__(self, place: Place, run_directory: Path, memory_mb: int) -> None:
        """`memory_mb` bounds its data in mebioctets."""
        super().__init__(place, run_directory)
        self.memory_mb = memory_mb

    @property
    def data_directory(self) -> Path:
        """Where the append-only file is."""
        return self.place.valkey_data

    @property
    def socket_path(self) -> Path:
        """Its only socket."""
        return self.run_directory / "valkey.sock"

    @property
    def url(self) -> str:
        """In the form that redis-py takes."""
        return f"unix://{self.socket_path}"

    @property
    def pid_file(self) -> Path:
        """Removed when it stops in good order."""
        return self.data_directory / "valkey.pid"

    @property
    def log_file(self) -> Path:
        """Opened anew by Valkey for every line."""
        return self.data_directory / "valkey.log"

    def arguments(self) -> list[str]:
        """Every setting that differs from Valkey's defaults or that we rely on."""
        settings = {
            "port": "0",
            "unixsocket": str(self.socket_path),
            "unixsocketperm": "700",
            "dir": str(self.data_directory),
            "pidfile": str(self.pid_file),
            "logfile": str(self.log_file),
            "daemonize": "no",
            # The title would hide the command line by which we know the process again.
            "set-proc-title": "no",
            "appendonly": "yes",
            "appendfsync": "always",
            "save": "",
            # A power cut may tear the last, unacknowledged command.
            "aof-load-truncated": "yes",
            "maxmemory": f"{self.memory_mb}mb",
            # An evicted balance would be money lost.
            "maxmemory-policy": "noeviction",
        }
        return [word for name, value in settings.items() for word in (f"--{name}", value)]

    def program(self, programs: Programs) -> Path:
        """valkey-server."""
        return programs.valkey_server

    def prepare(self, programs: Programs) -> None:  # noqa: ARG002 - Postgres needs them
        """Make the data directory; forget the pid of a server that was killed."""
        require_private_directory(self.data_directory, self.place.user)
        self.pid_file.unlink(missing_ok=True)

    async def answer(self) -> Answer:
        """PING; while the append-only file is read, any command is answered with -LOADING."""
        try:
            async with timeout(ANSWER_SECONDS), connection(self.socket_path) as (reader, writer):
                writer.write(b"PING\r\n")
                line = await reader.readline()
        except (OSError, TimeoutError):
            return Answer.SILENT
        if line.startswith(b"+PONG"):
            return Answer.READY
        return Answer.LOADING if line.startswith(b"-LOADING") else Answer.SILENT

    def bound_logs(self) -> None:
        """At most two files."""
        logs.rotate(self.log_file, LOG_BOUND_OCTETS)
