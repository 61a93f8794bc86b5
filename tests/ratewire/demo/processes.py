"""`ratewire demo` as a process, on pipes or on a terminal, and everything it starts."""

import fcntl
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

import psutil

from ratewire.embedded.servers import describe
from tests.acceptance.installation import eventually

T = TypeVar("T")

ENDS_S = 60.0


class Demo:
    """One run. `out` and `err` are what it has said so far."""

    def __init__(self, directory: Path, *words: str, terminal: "Terminal | None" = None) -> None:
        """`directory` is its data directory."""
        self.directory = directory
        self._terminal = terminal
        self._out, self._err = directory.with_suffix(".out"), directory.with_suffix(".err")
        kept = {name: v for name, v in os.environ.items() if not name.startswith("RATEWIRE_")}
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "ratewire", "demo", *words],
                stdin=subprocess.DEVNULL,
                stdout=out if terminal is None else terminal.inner,
                stderr=err,
                env={**kept, "RATEWIRE_DATA__DIR": str(directory), "TERM": "xterm-256color"},
                process_group=0,
            )

    @property
    def out(self) -> str:
        return self._out.read_text() if self._terminal is None else self._terminal.text

    @property
    def err(self) -> str:
        return self._err.read_text()

    def until(self, text: str) -> None:
        """Wait until it says something."""
        self._await(lambda: text in self.out)

    def child(self, command: str) -> psutil.Process:
        """Wait for the child that does a command: "simulate", or "serve" (any role)."""

        def found() -> list[psutil.Process]:
            return [each for each in self._children() if command in _words(each)]

        return self._await(found)[0]

    def servers(self) -> list[psutil.Process]:
        """The embedded servers that run on its data, with their processes."""
        found: list[psutil.Process] = []
        for server in describe(self.directory):
            with suppress(psutil.NoSuchProcess):
                if server.pid is not None:
                    process = psutil.Process(server.pid)
                    found += [process, *process.children(recursive=True)]
        return found

    def everything(self) -> list[psutil.Process]:
        """All processes that are its, the embedded servers among them."""
        return list(dict.fromkeys([*self._children(), *self.servers()]))

    def signal(self, number: signal.Signals) -> None:
        """What Ctrl-C does (SIGINT): the signal goes to the whole process group."""
        os.killpg(self._process.pid, number)

    def end(self) -> int:
        """Wait for its end; return its exit status."""
        return self._process.wait(ENDS_S)

    def kill(self) -> None:
        """kill -9, of it alone."""
        self._process.kill()
        self._process.wait()

    def _children(self) -> list[psutil.Process]:
        with suppress(psutil.NoSuchProcess):
            return psutil.Process(self._process.pid).children(recursive=True)
        return []

    def _await(self, look: Callable[[], T]) -> T:
        def alive() -> T:
            seen = look()
            assert seen or self._process.poll() is None, self.err
            return seen

        return eventually(alive, seconds=ENDS_S, tell=lambda: self.out + self.err)


@contextmanager
def demo(directory: Path, *words: str, terminal: "Terminal | None" = None) -> Generator[Demo]:
    """A run of the demo, which is killed if the test leaves it."""
    run = Demo(directory, *words, terminal=terminal)
    try:
        yield run
    finally:
        left = run.everything()
        run.kill()
        for process in left:
            with suppress(psutil.NoSuchProcess):
                process.kill()


def assert_gone(processes: list[psutil.Process], *, seconds: float = 0.5) -> None:
    """None of these is left, but for what the system has not collected yet."""

    def gone() -> bool:
        return not any(map(_runs, processes))

    eventually(gone, seconds=seconds, tell=lambda: str([each for each in processes if _runs(each)]))


class Terminal:
    """A pseudo-terminal, read to its end, so that nobody waits to write to it."""

    def __init__(self, columns: int, lines: int) -> None:
        self._outer, self.inner = pty.openpty()
        self.resize(columns, lines)
        self._read = bytearray()
        self._reader = threading.Thread(target=self._keep, daemon=True)
        self._reader.start()

    @property
    def text(self) -> str:
        """All that was written so far, escape sequences included."""
        return bytes(self._read).decode(errors="replace")

    def resize(self, columns: int, lines: int) -> None:
        """Make it another size."""
        fcntl.ioctl(self.inner, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def close(self) -> None:
        """Hang up."""
        os.close(self.inner)
        self._reader.join()
        os.close(self._outer)

    def _keep(self) -> None:
        # EIO: the last process that had it open has ended.
        with suppress(OSError):
            while octets := os.read(self._outer, 65536):
                self._read += octets


def _runs(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def _words(process: psutil.Process) -> list[str]:
    with suppress(psutil.NoSuchProcess):
        return process.cmdline()
    return []
