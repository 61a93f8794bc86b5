"""The demo from its start to its farewell."""

import asyncio
import contextlib
import os
import socket
import sys
import time
from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from random import Random

import aiohttp
import msgspec
import structlog
from rich.console import Console
from rich.live import Live

from billing.reconcile.run import Reconciliation, reconcile
from config.settings import Settings
from ratewire.demo import screen
from ratewire.demo.farewell import show_statement
from ratewire.demo.payer import Payer
from ratewire.demo.stock import COA_PORT, customers, stock
from ratewire.demo.watch import Picture, Watch
from ratewire.http.health import readiness
from ratewire.preparation import prepare
from ratewire.roles.follow import pause
from ratewire.roles.leaf import Role
from ratewire.supervisor import Supervisor
from ratewire.wiring import PARTITION, System, now, servers

_log = structlog.get_logger(__name__)

_LOOPBACK = "127.0.0.1"

#: How long to wait until everything does its work, and for the fleet's last answers.
READY_S = 60.0
FLEET_ENDS_S = 60.0

LOOK_S = 1.0
#: Without a terminal one line is printed this often.
SAY_S = 2.0

_NASES, _INTERIM_S, _SPREAD_S, _MEGABITS = 4, 4.0, 5.0, 20.0


class DemoFailed(Exception):
    """The demo could not go on; the message says why."""


class Options(msgspec.Struct, frozen=True):
    """How the demo is run. `seconds` None: until it is stopped; `tty`: draw a live picture."""

    config: Path | None
    seconds: float | None
    tty: bool


def overrides(settings: Settings, environment: Mapping[str, str]) -> dict[str, str]:
    """Return what the demo sets, by environment: loopback only, and other ports than are in use."""
    wanted = {
        "RATEWIRE_RADIUS__ACCT_PORT": (settings.radius.acct_port, socket.SOCK_DGRAM),
        "RATEWIRE_RADIUS__AUTH_PORT": (settings.radius.auth_port, socket.SOCK_DGRAM),
        "RATEWIRE_HTTP__PORT": (settings.http.port, socket.SOCK_STREAM),
    }
    made = {"RATEWIRE_RADIUS__BIND": _LOOPBACK, "RATEWIRE_HTTP__BIND": _LOOPBACK}
    for name, (port, kind) in wanted.items():
        made[name] = str(_free_port(port, kind))
    if "RATEWIRE_LOG__LEVEL" not in environment:
        made["RATEWIRE_LOG__LEVEL"] = "warning"
    return made


async def demo(settings: Settings, options: Options, stop: asyncio.Event) -> Reconciliation:
    """Run the demo until `stop` is set or its time is over; return what `reconcile` found."""
    # What is piped is not cut to the width of a terminal that is not there.
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 160)
    random = Random()
    console.print("Ratewire demo: starting Valkey and Postgres ...")
    async with servers(settings) as (urls, embedded):
        system = System(settings, urls)
        try:
            await prepare(system, migrate=settings.database.url is None)
            secret = await stock(system, random)
            supervisor = Supervisor(
                settings,
                urls,
                embedded,
                config=options.config,
                roles=list(Role),
                workers=settings.radius.workers,
            )
            began = now()
            async with _serving(supervisor):
                await _until_ready(system, stop)
                async with _fleet(settings, secret):
                    await _show(console, system, settings, options, random, stop)
                    console.print("stopping the sessions, then draining ...")
            await (await system.relay()).drain()
            await show_statement(console, system, customers(), began)
            return await reconcile(
                await system.pool(), system.stream, system.stream, partition=PARTITION
            )
        finally:
            await system.close()


@asynccontextmanager
async def _serving(supervisor: Supervisor) -> AsyncGenerator[None]:
    """All roles while in use; then they drain."""
    halt = asyncio.Event()
    task = asyncio.create_task(supervisor.run(halt))
    try:
        yield
    finally:
        halt.set()
        await task


async def _until_ready(system: System, stop: asyncio.Event) -> None:
    end = time.monotonic() + READY_S
    while not stop.is_set():
        state = await readiness(system)
        if state.ready:
            return
        if time.monotonic() > end:
            wrong = {name: said for name, said in state.checks.items() if said != "ok"}
            raise DemoFailed(f"it did not become ready in {READY_S:.0f} s: {wrong}")
        await pause(stop, 0.1)


@asynccontextmanager
async def _fleet(settings: Settings, secret: bytes) -> AsyncGenerator[None]:
    """The simulated NASes, a process of their own; in the end they stop their sessions."""
    users = [user for customer in customers() for user in customer.users]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "ratewire", "simulate", "--json", "--secret", "-"),
        *("--server", f"{_LOOPBACK}:{settings.radius.acct_port}", "--coa-port", str(COA_PORT)),
        *("--nases", str(_NASES), "--interim", str(_INTERIM_S), "--spread", str(_SPREAD_S)),
        *("--megabits", str(_MEGABITS), "--seed", str(time.time_ns() % 10**6)),
        *(part for user in users for part in ("--user", user)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
        start_new_session=True,
    )
    assert process.stdin is not None
    process.stdin.write(secret)
    process.stdin.close()
    try:
        yield
    finally:
        if process.returncode is None:
            process.terminate()
        try:
            async with asyncio.timeout(FLEET_ENDS_S):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


async def _show(
    console: Console,
    system: System,
    settings: Settings,
    options: Options,
    random: Random,
    stop: asyncio.Event,
) -> None:
    """Look at the system and show it, until `stop` is set or the time is over."""
    everybody = customers()
    url = f"http://{_LOOPBACK}:{settings.http.port}"
    payer = Payer(system, everybody, random)
    watch = Watch(system, everybody, f"{url}/metrics")
    over = asyncio.Event()
    lines = sum(len(customer.users) for customer in everybody)
    heading = (
        f"Ratewire demo: {lines} subscribers on {_NASES} simulated NASes, RADIUS"
        f" {_LOOPBACK}:{settings.radius.acct_port}, {url}"
    )
    end = None if options.seconds is None else time.monotonic() + options.seconds
    paying = asyncio.create_task(payer.run(over))
    try:
        async with aiohttp.ClientSession() as client:
            with _shower(console, heading, tty=options.tty) as show:
                while not stop.is_set() and (end is None or time.monotonic() < end):
                    show.picture(await watch.look(client, payer.paid))
                    await pause(stop, LOOK_S)
    finally:
        over.set()
        await paying


class _Lines:
    """Shows the picture as lines: what happened since the last look, and the figures."""

    def __init__(self, console: Console, heading: str) -> None:
        self._console = console
        self._console.print(heading)
        self._shown_ms = 0
        self._said = 0.0

    def picture(self, picture: Picture) -> None:
        for event in picture.happenings:
            if event.at_ms > self._shown_ms:
                self._print(screen.happening(event))
                self._shown_ms = event.at_ms
        if time.monotonic() - self._said >= SAY_S:
            self._print(screen.line(picture))
            self._said = time.monotonic()

    def _print(self, text: str) -> None:
        self._console.print(text, soft_wrap=True, markup=False)


class _Drawn:
    """Shows the picture on a terminal, in place."""

    def __init__(self, live: Live, heading: str) -> None:
        self._live = live
        self._heading = heading

    def picture(self, picture: Picture) -> None:
        height = self._live.console.height
        self._live.update(screen.draw(picture, self._heading, height), refresh=True)


@contextmanager
def _shower(console: Console, heading: str, *, tty: bool) -> Generator[_Lines | _Drawn]:
    if not tty:
        yield _Lines(console, heading)
        return
    with Live(console=console, auto_refresh=False, screen=True) as live:
        yield _Drawn(live, heading)


@contextmanager
def logs_to(file: Path) -> Generator[None]:
    """Send standard error, of this process and of those it starts, to a file."""
    file.parent.mkdir(parents=True, exist_ok=True)
    sys.stderr.flush()
    kept = os.dup(2)
    with file.open("ab") as opened:
        os.dup2(opened.fileno(), 2)
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(kept, 2)
        os.close(kept)


def _free_port(preferred: int, kind: int) -> int:
    """Return a port that nobody has on loopback: the preferred one if that is free."""
    for port in (preferred, 0):
        with socket.socket(socket.AF_INET, kind) as probe, contextlib.suppress(OSError):
            probe.bind((_LOOPBACK, port))
            return probe.getsockname()[1]
    raise DemoFailed("no port is free on 127.0.0.1")
