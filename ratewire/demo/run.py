"""The demo from its start to its farewell."""

import asyncio
import sys
import time
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from http import HTTPStatus
from pathlib import Path
from random import Random

import aiohttp
import msgspec
from rich.console import Console

from billing.reconcile.run import Reconciliation, reconcile
from config.settings import Settings
from ratewire.demo.farewell import show_statement
from ratewire.demo.ground import LOOPBACK, NASES, DemoFailed, Ground
from ratewire.demo.payer import Payer
from ratewire.demo.show import shower
from ratewire.demo.stock import ACTOR, customers, stock
from ratewire.demo.traffic import Traffic, traffic
from ratewire.demo.watch import Watch
from ratewire.embedded.locks import FileLock
from ratewire.preparation import prepare
from ratewire.roles.follow import pause
from ratewire.roles.leaf import Role
from ratewire.supervisor import Supervisor
from ratewire.wiring import PARTITION, System, now, servers

__all__ = ["DemoFailed", "Options", "demo"]

#: How long to wait until everything does its work.
READY_S = 60.0

LOOK_S = 1.0

_PATIENCE = aiohttp.ClientTimeout(2)
_WIDEST = 1000


class Options(msgspec.Struct, frozen=True):
    """How the demo is run. `seconds` None: until it is stopped; `tty`: draw a live picture."""

    config: Path | None
    seconds: float | None
    tty: bool


async def demo(
    settings: Settings, ground: Ground, options: Options, stop: asyncio.Event
) -> Reconciliation | None:
    """Run the demo until `stop` is set or its time is over; return what `reconcile` found.

    None if it was stopped before there was anything to see. Raises DemoFailed.
    """
    # What is piped is not cut to the width of a terminal that is not there.
    console = Console(highlight=False, width=None if sys.stdout.isatty() else _WIDEST)
    random = Random()
    console.print("Ratewire demo: starting Valkey and Postgres ...")
    async with servers(settings) as (urls, embedded):
        system = System(settings, urls, actor=ACTOR)
        try:
            with _alone(settings):
                await prepare(system, migrate=settings.database.url is None)
                secret = await stock(system)
                if stop.is_set():
                    return None
                supervisor = Supervisor(
                    settings,
                    urls,
                    embedded,
                    config=options.config,
                    roles=list(Role),
                    workers=settings.radius.workers,
                )
                began = now()
                show = _Show(console, system, ground, options, random)
                async with _serving(supervisor, stop):
                    if not await show.run(secret, stop):
                        return None
                await (await system.relay()).drain()
                await show_statement(console, system, customers(), began)
                return await reconcile(
                    await system.pool(), system.stream, system.stream, partition=PARTITION
                )
        finally:
            await system.close()


@contextmanager
def _alone(settings: Settings) -> Generator[None]:
    """Keep a second demo off this one's customers: its NASes would end this one's sessions."""
    directory = Path(settings.data.dir)
    directory.mkdir(mode=0o711, parents=True, exist_ok=True)
    lock = FileLock(directory / "demo.lock")
    if not lock.try_acquire():
        raise DemoFailed(
            f"another demo runs on the data in {directory}; for a second one beside it set"
            " RATEWIRE_DATA__DIR to another directory"
        )
    with lock:
        yield


@asynccontextmanager
async def _serving(supervisor: Supervisor, stop: asyncio.Event) -> AsyncGenerator[None]:
    """All roles while in use; then they drain. If they cannot be run, `stop` is set."""
    halt = asyncio.Event()
    task = asyncio.create_task(supervisor.run(halt))
    task.add_done_callback(lambda _: stop.set())
    try:
        yield
    finally:
        halt.set()
        await task


class _Show:
    """The system under the fleet's traffic, and what is seen of it."""

    def __init__(
        self,
        console: Console,
        system: System,
        ground: Ground,
        options: Options,
        random: Random,
    ) -> None:
        self._console = console
        self._system = system
        self._ground = ground
        self._url = f"http://{LOOPBACK}:{ground.http_port}"
        self._options = options
        self._customers = customers()
        self._payer = Payer(system, self._customers, random)

    async def run(self, secret: bytes, stop: asyncio.Event) -> bool:
        """Show it until `stop` is set or the time is over; False if it was stopped before."""
        users = [user for customer in self._customers for user in customer.users]
        async with aiohttp.ClientSession() as client, traffic(self._ground, users) as fleet:
            if not await self._until_ready(client, stop):
                return False
            fleet.begin(secret)
            over = asyncio.Event()
            paying = asyncio.create_task(self._payer.run(over))
            try:
                await self._look(client, fleet, len(users), stop)
            finally:
                over.set()
                await paying
            self._console.print("stopping the sessions, then draining ...")
            done = await fleet.end()
        if done is not None:
            self._console.print(
                f"the NASes sent {done.records} records in {done.transmissions} datagrams:"
                f" {done.acknowledged} acknowledged, {done.superseded} superseded by newer ones,"
                f" {done.unanswered} unanswered; they obeyed {done.disconnects_obeyed} of"
                f" {done.disconnects} Disconnect-Requests"
            )
        return True

    async def _until_ready(self, client: aiohttp.ClientSession, stop: asyncio.Event) -> bool:
        """Wait until all roles do their work, as it is told over HTTP; False if stopped before."""
        end = time.monotonic() + READY_S
        said = ""
        while not stop.is_set():
            try:
                async with client.get(f"{self._url}/readyz", timeout=_PATIENCE) as answer:
                    if answer.status == HTTPStatus.OK:
                        return True
                    said = await answer.text()
            except (aiohttp.ClientError, TimeoutError) as error:
                said = str(error) or type(error).__name__
            if time.monotonic() > end:
                raise DemoFailed(f"it did not become ready in {READY_S:.0f} s: {said}")
            await pause(stop, 0.1)
        return False

    async def _look(
        self, client: aiohttp.ClientSession, fleet: Traffic, lines: int, stop: asyncio.Event
    ) -> None:
        """Look at the system and show it, until it is time to stop or there is no more traffic."""
        heading = (
            f"Ratewire demo: RADIUS {LOOPBACK}:{self._ground.acct_port}, {self._url},"
            f" {lines} subscribers on {NASES} simulated NASes"
        )
        watch = Watch(self._system, self._customers, f"{self._url}/metrics")
        seconds = self._options.seconds
        end = None if seconds is None else time.monotonic() + seconds
        with shower(self._console, heading, tty=self._options.tty) as show:
            while fleet.runs and not stop.is_set() and (end is None or time.monotonic() < end):
                show.picture(await watch.look(client, self._payer.paid, self._payer.payments))
                await pause(stop, LOOK_S)
