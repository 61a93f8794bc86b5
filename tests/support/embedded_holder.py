"""A separate process that uses embedded servers, so that a test can kill it or run several.

Run as `python -m tests.support.embedded_holder DATA_DIR SYSTEM_DIRECTORY`. It prints one line of
JSON when the servers answer, and leaves when its standard input ends.
"""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from ratewire.embedded.place import SYSTEM_DIRECTORY
from ratewire.embedded.server_user import ServerUser
from ratewire.embedded.servers import EmbeddedServers

REPOSITORY = Path(__file__).parent.parent.parent
WAIT_SECONDS = 60


class Report(msgspec.Struct, frozen=True):
    """What the process says once the servers answer."""

    pids: dict[str, int | None]
    store_url: str
    database_url: str


async def _hold(data_dir: Path, system_directory: Path) -> None:
    use = EmbeddedServers.use(data_dir, system_directory=system_directory)
    async with use as servers:
        report = Report(
            pids={server.name: server.pid for server in servers.status},
            store_url=servers.store_url,
            database_url=servers.database_url,
        )
        print(msgspec.json.encode(report).decode(), flush=True)
        await _end_of_input()


async def _end_of_input() -> None:
    # No thread: one that is blocked in a read would keep the process from ending on Ctrl-C.
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(sys.stdin.fileno(), ended.set)
    await ended.wait()
    loop.remove_reader(sys.stdin.fileno())


class Holder:
    """The process, seen from the test."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def report(self) -> Report:
        """Wait until its servers answer. Once only."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            assert self._process.stderr is not None
            raise AssertionError(f"the holder ended: {self._process.stderr.read()}")
        return msgspec.json.decode(line, type=Report)

    def leave(self) -> None:
        """Let it leave in good order and wait until it has."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        assert self._process.wait(WAIT_SECONDS) == 0

    def kill(self) -> None:
        """kill -9, of it alone."""
        self._process.kill()
        self._process.wait(WAIT_SECONDS)

    def interrupt_group(self) -> None:
        """What Ctrl-C in a terminal does: SIGINT to its whole process group."""
        os.killpg(self._process.pid, signal.SIGINT)
        self._process.wait(WAIT_SECONDS)


@contextmanager
def holder(
    data_dir: Path,
    system_directory: Path = SYSTEM_DIRECTORY,
    *,
    user: ServerUser | None = None,
    python: str = sys.executable,
) -> Generator[Holder]:
    """A process that uses the servers of `data_dir`; killed at the end if it still runs.

    `user` may be given by root, with a `python` that this user can run (`python_for`).
    """
    process = subprocess.Popen(
        [python, "-m", __name__, str(data_dir), str(system_directory)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        process_group=0,
        cwd="/",
        env=_environment(),
        user=None if user is None else user.uid,
        group=None if user is None else user.gid,
        extra_groups=None if user is None else [],
    )
    with process:
        try:
            yield Holder(process)
        finally:
            process.kill()


def python_for(user: ServerUser) -> str | None:
    """A Python that `user` can run this module with; None when there is none."""
    for python in (sys.executable, "/usr/bin/python3"):
        try:
            tried = subprocess.run(
                [python, "-c", f"import {__name__}"],
                cwd="/",
                env=_environment(),
                user=user.uid,
                group=user.gid,
                extra_groups=[],
                stderr=subprocess.DEVNULL,
            )
        except OSError:
            continue
        if tried.returncode == 0:
            return python
    return None


def _environment() -> dict[str, str]:
    # A system Python does not know the packages of this environment.
    packages = [str(REPOSITORY), str(Path(msgspec.__file__).parent.parent)]
    return os.environ | {"PYTHONPATH": os.pathsep.join(packages), "PYTHONDONTWRITEBYTECODE": "1"}


if __name__ == "__main__":
    asyncio.run(_hold(Path(sys.argv[1]), Path(sys.argv[2])))
