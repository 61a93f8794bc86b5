"""Under traffic: the balances rebuilt, and a store that is full because Postgres stands still."""

import asyncio
import json
import time
import urllib.error
import urllib.request
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Final

import psutil
import pytest

from balances.connection import Connection
from ratewire.embedded.servers import describe
from tests.acceptance.installation import Installation, frozen, told
from tests.acceptance.test_kills import NASES, SESSIONS_OF_NAS, Stage
from tests.acceptance.traffic import Traffic
from tests.support.servers import server_directory

#: What is left of the store for the traffic, in octets: some seconds of it.
ROOM: Final = 400_000

MEMORY_MB: Final = 16


@pytest.fixture(scope="module")
def small() -> Iterator[Stage]:
    """A system whose store is small; at the end nothing of it runs."""
    with server_directory() as directory:
        installation = Installation(directory)
        with installation.config.open("a") as config:
            config.write(f"[store]\nembedded_memory_mb = {MEMORY_MB}\n")
        stage = Stage(installation)
        try:
            yield stage
            assert stage.serving.stop() == 0, stage.serving.log()
        finally:
            stage.serving.kill_everything()


def test_the_balances_are_rebuilt_while_sessions_report(small: Stage) -> None:
    """Records wait behind the fence, and go on where they were: each is charged once."""
    with small.traffic() as play:
        for _ in range(3):
            before = play.traffic.acknowledged
            rebuilding = small.installation.command("rebuild-balances", "--json")
            play.traffic.run_until(lambda r=rebuilding: r.poll() is not None)
            rebuilt = told(rebuilding)
            assert (rebuilt["sessions"], rebuilt["lost"]) == (NASES * SESSIONS_OF_NAS, None)
            play.traffic.run_until(lambda n=before: play.traffic.acknowledged > n + 100)
            play.assert_all_is_booked()
        play.finish()


def test_a_store_that_is_full_acknowledges_nothing_and_loses_nothing(small: Stage) -> None:
    """It says so, and goes on by itself once Postgres is back and the stream is settled."""
    with small.traffic() as play, filled(small.installation):
        with stopped_postgres(small.installation):
            play.traffic.run_until(lambda: "memory bound" in small.serving.log())
            # At the bound a little goes up and down; and later the journal takes over.
            play.traffic.run_until(Standstill(play.traffic, seconds=0.7).lasts, seconds=4)
            acknowledged = play.traffic.acknowledged
            checks = readiness(small.installation)
            assert checks["store"].startswith("full: ")
            assert checks["database"] != "ok"
        play.traffic.run_until(
            lambda: play.traffic.acknowledged > acknowledged + 100 and small.serving.is_ready()
        )
        play.assert_all_is_booked()
        play.finish()


class Standstill:
    """Whether nothing has been acknowledged for a while."""

    def __init__(self, traffic: Traffic, *, seconds: float) -> None:
        self._traffic = traffic
        self._seconds = seconds
        self._seen = -1
        self._since = 0.0

    def lasts(self) -> bool:
        """To be asked again and again."""
        if self._traffic.acknowledged != self._seen:
            self._seen, self._since = self._traffic.acknowledged, time.monotonic()
        return time.monotonic() - self._since >= self._seconds


@contextmanager
def filled(installation: Installation) -> Generator[None]:
    """Leave the store ROOM octets."""
    [url] = [
        f"unix://{each.socket_path}"
        for each in describe(installation.data_dir)
        if each.name == "valkey"
    ]

    async def fill() -> None:
        connection = Connection(url)
        try:
            raw: bytes = await connection.command("INFO", "memory")
            info = dict(line.split(":") for line in raw.decode().split("\r\n") if ":" in line)
            free = int(info["maxmemory"]) - int(info["used_memory"]) - ROOM
            assert free > 0, info
            await connection.command("SETRANGE", "ballast", free, "x")
        finally:
            await connection.close()

    async def empty() -> None:
        connection = Connection(url)
        try:
            await connection.command("DEL", "ballast")
        finally:
            await connection.close()

    asyncio.run(fill())
    try:
        yield
    finally:
        asyncio.run(empty())


@contextmanager
def stopped_postgres(installation: Installation) -> Generator[None]:
    """Postgres and its processes stand still meanwhile."""
    server = psutil.Process(installation.servers()["postgres"])
    with ExitStack() as stack:
        for process in (server, *server.children()):
            stack.enter_context(frozen(process.pid))
        yield


def readiness(installation: Installation) -> dict[str, Any]:
    """What /readyz says of each part, ready or not."""
    try:
        with urllib.request.urlopen(installation.url("/readyz"), timeout=10) as response:
            body = response.read()
    except urllib.error.HTTPError as error:
        body = error.read()
    return json.loads(body)["checks"]
