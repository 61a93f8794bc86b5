"""All roles on one machine: a process each, watched, restarted, and stopped in order.

The supervisor does nothing of the main job itself. It provides the embedded servers where none are
configured, starts the processes, starts again what dies, and on SIGTERM or Ctrl-C lets the
listeners finish what they have read before settlement takes the rest of the stream.
"""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import structlog
from prometheus_client import multiprocess

from config.settings import Settings
from ratewire.embedded.errors import EmbeddedServersError
from ratewire.embedded.servers import EmbeddedServers
from ratewire.metrics_files import MetricsDirectory
from ratewire.roles.leaf import Role
from ratewire.wiring import Urls

_log = structlog.get_logger(__name__)

#: Stopped first; then settlement, which has the last word.
_LAST = Role.SETTLEMENT

#: A process that is told to stop and does not is killed after this.
STOP_S = 40.0

WATCH_S = 0.2
ENSURE_S = 1.0

#: Between two starts of a process that dies at once, doubling; a process that ran longer than the
#: longest pause starts again at once.
FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 10.0


class Child:
    """One process of a role, through all its starts."""

    def __init__(self, role: Role, slot: int) -> None:
        self.role = role
        self.slot = slot
        self.process: asyncio.subprocess.Process | None = None
        self.starts = 0
        self._began = 0.0
        self._pause = FIRST_PAUSE_S
        self._not_before = 0.0

    @property
    def name(self) -> str:
        """What logs call it."""
        return f"{self.role.value}-{self.slot}"

    @property
    def may_start(self) -> bool:
        """Whether it does not run, and has rested after its last end."""
        return self.process is None and time.monotonic() >= self._not_before

    async def start(
        self, command: Sequence[str], env: Mapping[str, str], inherited: Sequence[int] = ()
    ) -> None:
        """Start the process in a session of its own, where Ctrl-C does not reach it.

        `inherited` are descriptors that it is to hold as well. Raises OSError if it cannot be
        started; it rests then, as after an end.
        """
        self._began = time.monotonic()
        self.starts += 1
        try:
            self.process = await asyncio.create_subprocess_exec(
                *command, env=env, start_new_session=True, pass_fds=inherited
            )
        except OSError:
            self._rest()
            raise

    def reap(self) -> int | None:
        """Return the exit status if the process has ended since, else None."""
        if self.process is None or self.process.returncode is None:
            return None
        status, pid = self.process.returncode, self.process.pid
        self.process = None
        multiprocess.mark_process_dead(pid)  # pyright: ignore[reportUnknownMemberType] -- untyped
        self._rest()
        return status

    def _rest(self) -> None:
        """Set when it may start again."""
        ran = time.monotonic() - self._began
        self._pause = (
            FIRST_PAUSE_S if ran > LONGEST_PAUSE_S else min(self._pause * 2, LONGEST_PAUSE_S)
        )
        self._not_before = time.monotonic() + (0.0 if ran > LONGEST_PAUSE_S else self._pause)

    async def stop(self) -> None:
        """Tell it to stop and wait; kill it if it does not."""
        if self.process is None:
            return
        if self.process.returncode is None:
            self.process.terminate()
        try:
            async with asyncio.timeout(STOP_S):
                await self.process.wait()
        except TimeoutError:
            _log.error("killing a process that does not stop", process=self.name)
            self.process.kill()
            await self.process.wait()
        self.process = None


class Supervisor:
    """Runs the processes of some roles on the given servers."""

    def __init__(
        self,
        settings: Settings,
        urls: Urls,
        embedded: EmbeddedServers | None,
        *,
        config: Path | None,
        roles: Sequence[Role],
        workers: int,
    ) -> None:
        self._settings = settings
        self._urls = urls
        self._embedded = embedded
        self._config = config
        self._metrics = MetricsDirectory()
        self.children = [
            Child(role, slot)
            for role in roles
            for slot in range(workers if role is Role.LISTENER else 1)
        ]

    async def run(self, stop: asyncio.Event) -> None:
        """Keep the processes running until `stop` is set, then stop them in order."""
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(self._metrics.path)
        ensure = asyncio.create_task(self._ensure_servers(stop))
        try:
            while not stop.is_set():
                await self._watch()
                await _pause(stop, WATCH_S)
        finally:
            stop.set()
            try:
                await ensure
            finally:
                await self._stop_all()
                self._metrics.remove()

    async def _watch(self) -> None:
        for child in self.children:
            status = child.reap()
            if status is not None:
                _log.error(
                    "a process ended and is started again", process=child.name, status=status
                )
            if child.may_start:
                try:
                    await child.start(
                        self._command(child), self._environment(), (self._metrics.fileno(),)
                    )
                except OSError as error:
                    # Out of memory or processes: the others go on, and it may be started later.
                    _log.error("a process cannot be started", process=child.name, error=str(error))

    def _command(self, child: Child) -> list[str]:
        config = ["--config", str(self._config)] if self._config is not None else []
        return [
            *(sys.executable, "-m", "ratewire", "serve", *config),
            *("--role", child.role.value, "--slot", str(child.slot)),
            *("--parent", str(os.getpid())),
        ]

    def _environment(self) -> dict[str, str]:
        """The supervisor's environment, with where its servers are."""
        return {
            **os.environ,
            "RATEWIRE_STORE__URL": self._urls.store,
            "RATEWIRE_DATABASE__URL": self._urls.database,
            "PROMETHEUS_MULTIPROC_DIR": str(self._metrics.path),
        }

    async def _ensure_servers(self, stop: asyncio.Event) -> None:
        """Start the embedded servers again when they die."""
        pause = ENSURE_S
        while not stop.is_set() and self._embedded is not None:
            try:
                for name in await self._embedded.ensure_running():
                    _log.warning("an embedded server was started again", server=name)
                pause = ENSURE_S
            except EmbeddedServersError as error:
                _log.error("an embedded server does not start", error=str(error))
                pause = min(pause * 2, LONGEST_PAUSE_S)
            await _pause(stop, pause)

    async def _stop_all(self) -> None:
        first = [child for child in self.children if child.role is not _LAST]
        await asyncio.gather(*(child.stop() for child in first))
        await asyncio.gather(*(child.stop() for child in self.children))


def stop_on_signals() -> asyncio.Event:
    """Return an event that SIGTERM and SIGINT set."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return stop


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        pass
