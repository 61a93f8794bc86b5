"""A whole Ratewire for tests: `ratewire serve` on free ports, started, killed, started again."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import psutil
from prometheus_client.parser import text_string_to_metric_families

from config.load import load
from config.settings import Settings
from ratewire.embedded.servers import describe
from tests.support.localstripe import API_KEY, SIGNING_SECRET

Result = TypeVar("Result")

HOST = "127.0.0.1"

#: Two workers share the port, so that a NAS's records may meet either of them.
WORKERS = 2

READY_S = 90.0
STOP_S = 60.0


class Ports(msgspec.Struct, frozen=True):
    """Loopback ports. `coa` is for the NASes of the tests, on their own addresses.

    On `stripe` a test may start one (tests.support.localstripe).
    """

    acct: int
    auth: int
    http: int
    coa: int
    stripe: int


class Installation:
    """A settings file and a data directory. At most one `serve` runs on it at a time."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.data_dir = directory / "var"
        self.config = directory / "ratewire.toml"
        self.ports = _free_ports()
        self.config.write_text(
            f'[radius]\nbind = ["{HOST}"]\nworkers = {WORKERS}\n'
            f"auth_port = {self.ports.auth}\nacct_port = {self.ports.acct}\n"
            f"[http]\nport = {self.ports.http}\n"
            f'[data]\ndir = "{self.data_dir}"\n'
            f'[stripe]\napi_url = "http://{HOST}:{self.ports.stripe}"\n'
            f'api_key_file = "{self._key("api", API_KEY)}"\n'
            f'signing_secret_file = "{self._key("signing", SIGNING_SECRET)}"\n'
        )
        self._runs = 0

    def _key(self, name: str, key: str) -> Path:
        file = self._directory / f"stripe-{name}.key"
        file.write_text(key)
        return file

    @property
    def settings(self) -> Settings:
        """As `serve` reads them."""
        return load(self.config, {})

    def command(self, *words: str, stdin: str = "") -> subprocess.Popen[str]:
        """Start a command of the command line; see `printed` and `told`."""
        process = subprocess.Popen(
            [sys.executable, "-m", "ratewire", *words, "--config", str(self.config)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=_environment(),
        )
        assert process.stdin is not None
        process.stdin.write(stdin)
        process.stdin.close()
        process.stdin = None
        return process

    def serve(self) -> "Serving":
        """Start `ratewire serve`, and wait until it is ready."""
        serving = self.start()
        try:
            eventually(serving.is_ready, seconds=READY_S, tell=serving.log)
        except BaseException:
            serving.kill_everything()
            raise
        return serving

    def start(self, **environment: str) -> "Serving":
        """Start `ratewire serve`, with more in its environment if given."""
        self._runs += 1
        return Serving(self, self._log(self._runs), environment)

    def logs(self) -> list[Path]:
        """The logs of all runs so far."""
        return [self._log(run + 1) for run in range(self._runs)]

    def _log(self, run: int) -> Path:
        return self._directory / f"serve-{run}.log"

    def servers(self) -> dict[str, int]:
        """The pids of the embedded servers that run: "valkey", "postgres"."""
        found = describe(self.data_dir)
        return {each.name: each.pid for each in found if each.pid is not None}

    def counted(self, outcome: str) -> int:
        """How many datagrams of the accounting port came to this, as /metrics tells."""
        with urllib.request.urlopen(self.url("/metrics"), timeout=10) as response:
            text: str = response.read().decode()
        labels = {"port": "acct", "outcome": outcome}
        return sum(
            int(sample.value)
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == "ratewire_radius_datagrams_total" and sample.labels == labels
        )

    def url(self, path: str) -> str:
        """A path over HTTP."""
        return f"http://{HOST}:{self.ports.http}{path}"


class Serving:
    """One run of `ratewire serve`."""

    def __init__(
        self, installation: Installation, log: Path, environment: Mapping[str, str]
    ) -> None:
        self._installation = installation
        self._log = log
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "ratewire", "serve", "--config", installation.config],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**_environment(), **environment},
                start_new_session=True,
            )

    def is_ready(self) -> bool:
        """Whether /readyz says that records are taken, charged, settled and enforced."""
        assert self._process.poll() is None, self.log()
        url = self._installation.url("/readyz")
        with (
            suppress(urllib.error.URLError, ConnectionError, TimeoutError),
            urllib.request.urlopen(url, timeout=5) as response,
        ):
            return response.status == 200
        return False

    def log(self) -> str:
        """What it has logged."""
        return self._log.read_text()

    def role(self, name: str) -> list[psutil.Process]:
        """The supervisor's children that do a role."""
        return [
            child for child in psutil.Process(self._process.pid).children() if _does(child, name)
        ]

    def everything(self) -> list[psutil.Process]:
        """The supervisor, its children, the embedded servers, and their processes."""
        found: list[psutil.Process] = []
        for pid in (self._process.pid, *self._installation.servers().values()):
            with suppress(psutil.NoSuchProcess):
                process = psutil.Process(pid)
                found += [process, *process.children(recursive=True)]
        return list(dict.fromkeys(found))

    def kill_everything(self) -> None:
        """kill -9 of all of it, and wait until nothing of it is left."""
        killed = self.everything()
        for process in killed:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self._process.wait(STOP_S)
        eventually(lambda: all(map(has_ended, killed)), seconds=STOP_S)

    def kill_supervisor(self) -> list[psutil.Process]:
        """kill -9 of the supervisor alone; return the processes of its roles."""
        servers = self._installation.servers().values()
        children = psutil.Process(self._process.pid).children()
        self._process.kill()
        self._process.wait(STOP_S)
        return [child for child in children if child.pid not in servers]

    def stop(self) -> int:
        """Stop it as an operator does; return its exit status. No child of it may be left.

        The servers are stopped with it, unless somebody else uses them.
        """
        servers = self._installation.servers().values()
        children = psutil.Process(self._process.pid).children()
        ours = [child for child in children if child.pid not in servers]
        self._process.send_signal(signal.SIGTERM)
        status = self._process.wait(STOP_S)
        assert all(map(has_ended, ours)), self.log()
        return status


@contextmanager
def frozen(pid: int) -> Generator[None]:
    """A process that stands still meanwhile (SIGSTOP)."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def has_ended(process: psutil.Process) -> bool:
    """Whether it is gone, or dead and only not reaped by the parent that it was given to."""
    with suppress(psutil.NoSuchProcess):
        return process.status() == psutil.STATUS_ZOMBIE
    return True


def printed(command: subprocess.Popen[str]) -> str:
    """What a command has printed, once it has ended well."""
    output, errors = command.communicate(timeout=READY_S)
    assert command.returncode == 0, errors
    return output


def told(command: subprocess.Popen[str]) -> Any:
    """The JSON that a command has printed, once it has ended well."""
    return json.loads(printed(command))


def eventually(
    look: Callable[[], Result | None], *, seconds: float = 15.0, tell: Callable[[], str] = str
) -> Result:
    """Look until there is something to see, and return it; AssertionError after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        seen = look()
        if seen:
            return seen
        assert time.monotonic() < deadline, f"{look.__qualname__}: {seen!r} {tell()}"
        time.sleep(0.02)


def _does(process: psutil.Process, role: str) -> bool:
    with suppress(psutil.NoSuchProcess):
        words = process.cmdline()
        return any(words[at : at + 2] == ["--role", role] for at in range(len(words)))
    return False


def _environment() -> dict[str, str]:
    """Ours, without what would override the settings file."""
    return {name: value for name, value in os.environ.items() if not name.startswith("RATEWIRE_")}


def _free_ports() -> Ports:
    udp, tcp = socket.SOCK_DGRAM, socket.SOCK_STREAM
    kinds = (udp, udp, tcp, udp, tcp)
    sockets = [socket.socket(socket.AF_INET, kind) for kind in kinds]
    try:
        for each in sockets:
            each.bind((HOST, 0))
        return Ports(*(each.getsockname()[1] for each in sockets))
    finally:
        for each in sockets:
            each.close()
