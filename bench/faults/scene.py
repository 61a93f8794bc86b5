"""The real thing under load: started, driven, watched, and compared with its books in the end."""

import asyncio
import json
import tempfile
import threading
import time
from collections.abc import Callable, Coroutine, Generator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec
import psutil

from bench.faults.disk import SmallDisk, small_disk
from bench.faults.watch import Watch
from bench.load import Load, parser
from bench.main_job import SECRET, conserve, set_up, wait_settled
from ratewire.embedded.servers import describe
from ratewire.wiring import System, servers
from tests.acceptance.installation import HOST, Installation, Serving, eventually

Result = TypeVar("Result")

#: Requests outstanding: that many sockets, with so many each.
SOCKETS, WINDOW = 8, 64

#: For how long an outage of the store is not answered from the journal.
GRACE_S: Final = 5

#: After the load: until all is answered, settled, and well again.
SETTLED_S = 60.0


class Line(msgspec.Struct, frozen=True):
    """A line that the log must have: the beginnings of its event and of its other fields."""

    event: str
    fields: Mapping[str, str] = {}

    def is_told_by(self, line: Mapping[str, Any]) -> bool:
        """Whether a line of the log is this one."""
        expected = {"event": self.event, **self.fields}
        return all(str(line.get(key, "")).startswith(value) for key, value in expected.items())


class Scene:
    """One installation, its `serve`, and a load on it at a rate that does not let up."""

    def __init__(
        self, installation: Installation, load: Load, rate: float, disk: SmallDisk | None
    ) -> None:
        """`disk` is that of one of the servers, if it has one of its own."""
        self.installation = installation
        self.serving: Serving = installation.serve()
        self.load = load
        self.rate = rate
        self.disk = disk
        self._more = True
        self._failure: Exception | None = None
        self.watch = Watch(load)
        self._driving = threading.Thread(target=self._drive, daemon=True)
        self._driving.start()

    def _drive(self) -> None:
        try:
            self.load.open_all()
            self.load.report_while(lambda: self._more, self.rate)
        except Exception as error:  # noqa: BLE001 - `quieten` raises it
            self._failure = error

    def server(self, name: str) -> psutil.Process:
        """An embedded server that runs: "valkey" or "postgres"."""
        return psutil.Process(self.installation.servers()[name])

    def lines(self, since: float) -> list[dict[str, Any]]:
        """What the log has said since a moment (Unix time), whichever `serve` said it."""
        found: list[dict[str, Any]] = []
        for path in self.installation.logs():
            for text in path.read_text().splitlines():
                if text.startswith("{"):
                    line: dict[str, Any] = json.loads(text)
                    if datetime.fromisoformat(line["timestamp"]).timestamp() >= since:
                        found.append(line)
        return found

    def quieten(self) -> None:
        """Report no more, and wait until all is answered."""
        self._more = False
        self._driving.join(SETTLED_S)
        assert not self._driving.is_alive(), "not all was answered"
        assert self._failure is None, self._failure

    def settle(self) -> float:
        """Wait until all is in the books, also what the journal holds; return how long it took."""
        began = time.monotonic()
        eventually(self.serving.is_ready, seconds=SETTLED_S)
        asyncio.run(_with_system(self.installation, _settled))
        return time.monotonic() - began

    def books(self) -> dict[str, Any]:
        """Compare what was acknowledged with the books; AssertionError if they differ."""
        sent = self.load.result()
        return asyncio.run(_with_system(self.installation, lambda system: conserve(system, sent)))

    def close(self) -> None:
        """End the load, even if it waits for answers still."""
        self._more = False
        self.watch.close()
        self.load.close()
        self._driving.join()


@contextmanager
def under_load(
    parent: Path | None, *, rate: float, sessions: int, journal: bool, small: str | None
) -> Generator[Scene]:
    """A new installation in a directory of its own; `small` is the server with a small disk.

    In the end all of it is stopped, and that in good order. Raises NoDisk.
    """
    with (
        tempfile.TemporaryDirectory(prefix="ratewire-faults-", dir=parent) as name,
        ExitStack() as stack,
    ):
        directory = Path(name)
        directory.chmod(0o711)
        installation = Installation(directory)
        with installation.config.open("a") as config:
            config.write(
                f"[journal]\nenabled = {str(journal).lower()}\ngrace_seconds = {GRACE_S}\n"
            )
        asyncio.run(_with_system(installation, lambda system: set_up(system, sessions)))
        disk = None
        if small is not None:
            [data] = [
                each.data_directory
                for each in describe(installation.data_dir)
                if each.name == small
            ]
            disk = stack.enter_context(small_disk(data))
        scene = Scene(installation, _load(installation, sessions), rate, disk)
        try:
            yield scene
            assert scene.serving.stop() == 0, scene.serving.log()
        finally:
            scene.close()
            scene.serving.kill_everything()


def _load(installation: Installation, sessions: int) -> Load:
    words = {
        "host": HOST,
        "port": installation.ports.acct,
        "secret": SECRET,
        "sessions": sessions,
        "sockets": SOCKETS,
        "window": WINDOW,
    }
    return Load(parser().parse_args([f"--{name}={value}" for name, value in words.items()]))


async def _with_system(
    installation: Installation, work: Callable[[System], Coroutine[Any, Any, Result]]
) -> Result:
    """Do something with store and database; the servers run meanwhile."""
    settings = installation.settings
    async with servers(settings) as (urls, _):
        system = System(settings, urls)
        try:
            return await work(system)
        finally:
            await system.close()


async def _settled(system: System) -> None:
    async with asyncio.timeout(SETTLED_S):
        await wait_settled(system)
