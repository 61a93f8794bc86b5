"""All roles as processes: what is killed is started again, and the end is in order."""

import asyncio
import contextlib
import errno
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import psutil
import pytest
from structlog.testing import capture_logs

from balances.connection import Connection
from billing.settlement import position
from config.settings import Settings
from radius.requests import verify_response
from ratewire import supervisor
from ratewire.roles.leaf import Role
from ratewire.supervisor import Child
from ratewire.wiring import PARTITION, System, Urls
from tests.ratewire.office import Office
from tests.ratewire.provider import SECRET
from tests.ratewire.roles.running import Speaker, eventually, start

MB = 1_000_000

#: What the metrics tell of one Start, and of one that was not genuine.
TOLD = (
    'ratewire_radius_datagrams_total{outcome="answered",port="acct"}',
    'ratewire_radius_datagrams_total{outcome="dropped_bad_authenticator",port="acct"} 1.0',
    'ratewire_stage_seconds_bucket{le="0.5",role="listener",stage="read"}',
    'ratewire_stage_seconds_bucket{le="0.5",role="listener",stage="rate"}',
    'ratewire_stage_seconds_bucket{le="0.5",role="listener",stage="commit"}',
    'ratewire_stage_seconds_bucket{le="0.5",role="listener",stage="decode"}',
    'ratewire_stage_seconds_bucket{le="0.5",role="listener",stage="answer"}',
    'ratewire_stage_seconds_bucket{le="0.5",role="settlement",stage="settle"}',
    'ratewire_events_total{event="record_opened",role="listener"} 1.0',
    'ratewire_events_total{event="settled_items",role="settlement"} 1.0',
    "ratewire_settlement_lag_entries 0.0",
)


class Served:
    """`ratewire serve`, at work on the servers of a system."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process = process
        self._log = log

    def children(self) -> dict[str, psutil.Process]:
        """Its processes by their roles."""
        found: dict[str, psutil.Process] = {}
        for child in psutil.Process(self.process.pid).children():
            with contextlib.suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
                words = child.cmdline()
                if "--role" in words:
                    found[words[words.index("--role") + 1]] = child
        return found

    def told(self) -> list[str]:
        """The events of its log."""
        return [json.loads(line)["event"] for line in self._log.read_text().splitlines()]


@asynccontextmanager
async def served(system: System, directory: Path, *roles: Role) -> AsyncGenerator[Served]:
    """Serve these roles, or all; at the end all of its processes are gone."""
    settings, log = system.settings, directory / "log"
    environment = {
        **os.environ,
        "RATEWIRE_RADIUS__BIND": "127.0.0.1",
        "RATEWIRE_RADIUS__ACCT_PORT": str(settings.radius.acct_port),
        "RATEWIRE_RADIUS__AUTH_PORT": str(settings.radius.auth_port),
        "RATEWIRE_HTTP__PORT": str(settings.http.port),
        "RATEWIRE_DATA__DIR": settings.data.dir,
        "RATEWIRE_STORE__URL": system.urls.store,
        "RATEWIRE_DATABASE__URL": system.urls.database,
        "RATEWIRE_LOG__FORMAT": "json",
    }
    words = [word for role in roles for word in ("--role", role.value)]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "ratewire", "serve", *words], env=environment, stderr=output
        )
    try:
        yield Served(process, log)
    finally:
        with contextlib.suppress(psutil.NoSuchProcess):
            for child in psutil.Process(process.pid).children():
                child.kill()
        process.kill()
        process.wait()


async def ready(settings: Settings) -> bool:
    """Whether /readyz says so."""
    url = f"http://127.0.0.1:{settings.http.port}/readyz"
    try:
        async with aiohttp.ClientSession() as client, client.get(url) as response:
            return response.status == 200
    except aiohttp.ClientConnectionError:
        return False


async def scraped(settings: Settings) -> str:
    url = f"http://127.0.0.1:{settings.http.port}/metrics"
    async with aiohttp.ClientSession() as client, client.get(url) as response:
        return await response.text()


async def test_it_serves_heals_and_ends_in_order(
    system: System, office: Office, settings: Settings, connection: Connection, tmp_path: Path
) -> None:
    await office.subscribe(5 * MB)
    await office.add_nas()
    speaker = Speaker(settings.radius.acct_port)
    async with served(system, tmp_path) as serving:
        await eventually(lambda: ready(settings), seconds=30)
        assert set(serving.children()) == {role.value for role in Role}

        # The metrics of all processes are told by one of them.
        await speaker.answered(start("s1"))
        speaker.account(start("s2"), secret=b"another secret")

        async def is_counted() -> bool:
            text = await scraped(settings)
            return all(line in text for line in TOLD)

        await eventually(is_counted)

        # What is killed is started again, and its counts are not lost.
        killed = serving.children()["listener"]
        killed.kill()

        async def is_back() -> bool:
            found = serving.children().get("listener")
            return found is not None and found.pid != killed.pid

        await eventually(is_back)
        await speaker.answered(start("s3"))
        while await speaker.reply(0.1) is not None:
            pass  # answers to what was sent twice
        assert 'outcome="dropped_bad_authenticator",port="acct"} 1.0' in await scraped(settings)

        # Told to stop, it answers what it has read and settles it before settlement ends.
        children = serving.children()
        await connection.command("CLIENT", "PAUSE", 700, "WRITE")
        last = speaker.account(start("s4"))
        await asyncio.sleep(0.2)
        serving.process.send_signal(signal.SIGTERM)
        ended: list[str] = []

        async def has_ended() -> bool:
            ended.extend(
                role
                for role, child in children.items()
                if role not in ended and not child.is_running()
            )
            return serving.process.poll() is not None

        await eventually(has_ended, seconds=30)
        assert serving.process.returncode == 0
        assert ended[-1] == "settlement"
        reply = await speaker.reply()
        assert reply is not None
        assert verify_response(last, reply, secret=SECRET)
        assert "killing a process that does not stop" not in serving.told()
    speaker.close()
    books = await system.stream.books()
    assert (books.open_sessions, books.settled_lag) == (3, 0)
    async with (await system.pool()).acquire() as conn:
        found = await position.read(conn, PARTITION)
    assert found is not None
    assert found.position == books.position


async def test_without_their_supervisor_its_processes_end(
    system: System, office: Office, tmp_path: Path
) -> None:
    """Its successor starts processes of its own."""
    async with served(system, tmp_path, Role.SCHEDULER) as serving:

        async def runs() -> bool:
            return [beat.name for beat in await system.heartbeats.all(0)] == ["scheduler-0"]

        await eventually(runs, seconds=30)
        child = serving.children()["scheduler"]
        serving.process.kill()
        serving.process.wait()

        async def is_gone() -> bool:
            return not child.is_running()

        await eventually(is_gone)
        assert await system.heartbeats.all(0) == [], "it has ended in good order"
        assert "the supervisor is gone: stopping" in serving.told()


@pytest.fixture
def metrics_of_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the supervisor's processes would keep their counts."""
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))


@pytest.mark.usefixtures("metrics_of_processes")
async def test_what_dies_at_once_is_started_again_later_and_later() -> None:
    child = Child(Role.LISTENER, 3)
    assert child.name == "listener-3"
    began: list[float] = []
    async with asyncio.timeout(10):
        while len(began) < 4:
            if child.may_start:
                began.append(time.monotonic())
                await child.start(["/bin/false"], {})
            await asyncio.sleep(0.005)
            status = child.reap()
            assert status in (None, 1)
    pauses = [later - sooner for sooner, later in itertools.pairwise(began)]
    for pause, least in zip(pauses, (0.2, 0.4, 0.8), strict=True):
        assert pause >= least
    await child.stop()


async def test_what_cannot_be_started_is_tried_again_and_ends_no_other(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[str] = []

    async def refuse(*words: str, **_: object) -> None:
        tried.append(words[words.index("--role") + 1])
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    monkeypatch.setattr(asyncio, "create_subprocess_exec", refuse)
    stop = asyncio.Event()
    roles = [Role.SCHEDULER, Role.HTTP]
    supervising = supervisor.Supervisor(
        settings, Urls("", ""), None, config=None, roles=roles, workers=1
    )
    with capture_logs() as lines:
        running = asyncio.create_task(supervising.run(stop))

        async def again() -> bool:
            return len(tried) >= 4

        await eventually(again)
        stop.set()
        await running
    assert set(tried) == {"scheduler", "http"}
    assert {line["event"] for line in lines} == {"a process cannot be started"}


@pytest.mark.usefixtures("metrics_of_processes")
async def test_what_does_not_stop_is_killed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(supervisor, "STOP_S", 0.2)
    child = Child(Role.HTTP, 0)
    deaf = tmp_path / "deaf"
    await child.start(["/bin/sh", "-c", f"trap '' TERM; touch {deaf}; exec sleep 60"], os.environ)
    process = child.process
    assert process is not None

    async def is_deaf() -> bool:
        return deaf.exists()

    await eventually(is_deaf)
    await child.stop()
    assert process.returncode == -signal.SIGKILL
    assert child.process is None
