"""serve: which roles, on which ports, and what keeps it from starting."""

import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Generator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest

from ratewire.ports import TAKEN
from tests.acceptance.installation import HOST, eventually
from tests.acceptance.pyrad_nas import PyradNas
from tests.acceptance.records import Login
from tests.ratewire.cli.conftest import SECRET, Configured, free_port
from tests.support.servers import DatabaseServer, fresh_database

STOP_S = 60.0
READY_S = 60.0


@contextmanager
def taken(kind: socket.SocketKind) -> Generator[int]:
    """A port that another program has meanwhile."""
    with socket.socket(socket.AF_INET, kind) as other:
        other.bind((HOST, 0))
        if kind is socket.SOCK_STREAM:
            other.listen()
        yield other.getsockname()[1]


@contextmanager
def serving(config: Path, *words: str) -> Generator[subprocess.Popen[str]]:
    """`ratewire serve`, stopped as an operator stops it."""
    with subprocess.Popen(
        [sys.executable, "-m", "ratewire", "serve", "--config", config, *words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            process.terminate()
            _, log = process.communicate(timeout=STOP_S)
        assert process.returncode == 0, log


def refused(config: Path | None, *words: str, status: int = 1) -> str:
    """What is said by a `serve` that does not start."""
    given = [] if config is None else ["--config", str(config)]
    began = time.monotonic()
    ended = subprocess.run(
        [sys.executable, "-m", "ratewire", "serve", *given, *words],
        capture_output=True,
        text=True,
        timeout=STOP_S,
    )
    assert (ended.returncode, ended.stdout) == (status, ""), ended
    assert "Traceback" not in ended.stderr
    assert time.monotonic() - began < STOP_S / 2
    return ended.stderr.removeprefix("ratewire: ")


def test_roles_work_apart_and_take_over_from_each_other(
    stocked: Configured,
) -> None:
    ratewire = stocked.ratewire
    acct, http = stocked.settings.radius.acct_port, stocked.settings.http.port
    ratewire.done("topup", "acme", "5.00")
    words = ("nas", "add", "pop1", "--source", "127.30.0.0/16", "--secret", "-")
    ratewire.done(*words, stdin=SECRET)
    login = Login("alice", "1", int(time.time()) - 600)
    with (
        closing(PyradNas("127.30.0.1", acct, SECRET)) as nas,
        serving(stocked.config, "--role", "listener", "--workers", "2") as first,
    ):
        eventually(lambda: nas.is_answered(login.start()), seconds=READY_S)
        with serving(stocked.config, "--role", "listener"):
            # Both have the port now, and the first goes.
            eventually(lambda: _listeners(acct) == 3, seconds=READY_S)
            first.send_signal(signal.SIGTERM)
            first.wait(STOP_S)
            nas.send(login.interim(60, 1_000_000, 0), login.stop(120, 1_000_000, 1_000_000))
    assert ratewire.json("balance", "acme")["balance_micros"] == 4_996_000
    assert ratewire.json("usage")["subscribers"] == [], "nobody settles"
    with serving(stocked.config, "--role", "settlement", "--role", "http"):
        eventually(
            lambda: ratewire.json("usage")["total"]["charged_micros"] == 4_000, seconds=READY_S
        )
        eventually(lambda: _is_alive(http), seconds=READY_S)
        assert _listeners(acct) == 0
    assert ratewire.json("reconcile")["exact"]


def _is_alive(port: int) -> bool:
    with suppress(OSError), urllib.request.urlopen(f"http://{HOST}:{port}/healthz") as answer:
        return answer.status == 200
    return False


def _listeners(port: int) -> int:
    """How many sockets are bound to a UDP port of loopback."""
    lines = Path("/proc/net/udp").read_text().splitlines()[1:]
    return sum(line.split()[1] == f"0100007F:{port:04X}" for line in lines)


def test_ports_that_another_program_has_are_named_and_nothing_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tmp_path / "var"
    monkeypatch.setenv("RATEWIRE_DATA__DIR", str(data))
    with taken(socket.SOCK_DGRAM) as acct, taken(socket.SOCK_STREAM) as http:
        monkeypatch.setenv("RATEWIRE_RADIUS__BIND", HOST)
        monkeypatch.setenv("RATEWIRE_RADIUS__AUTH_PORT", str(free_port(socket.SOCK_DGRAM)))
        monkeypatch.setenv("RATEWIRE_RADIUS__ACCT_PORT", str(acct))
        monkeypatch.setenv("RATEWIRE_HTTP__PORT", str(http))
        assert refused(None) == (
            f"radius.acct_port: {HOST} port {acct}/udp: {TAKEN};"
            f" http.port: {HOST} port {http}/tcp: {TAKEN}\n"
        )
        assert not data.exists()


def test_a_role_that_finds_its_port_taken_when_it_is_started_again_says_which(
    configured: Configured, monkeypatch: pytest.MonkeyPatch
) -> None:
    with taken(socket.SOCK_STREAM) as http:
        monkeypatch.setenv("RATEWIRE_HTTP__PORT", str(http))
        told = refused(configured.config, "--role", "http", "--slot", "0")
    assert told == f"http.port: {HOST} port {http}/tcp: {TAKEN}\n"


def test_nothing_starts_without_the_store_or_on_another_schema(
    configured: Configured, database_server: DatabaseServer
) -> None:
    configured.beside("lost.toml", store="redis://:hidden@127.0.0.1:1")
    told = refused(configured.config.with_name("lost.toml"))
    assert told.startswith("the store at redis://***@127.0.0.1:1: Error 111 connecting to")
    assert told.count("\n") == 1
    with fresh_database(database_server, "template1") as url:
        configured.beside("new.toml", database=url)
        told = refused(configured.config.with_name("new.toml"))
    assert told.endswith("run 'ratewire migrate'\n")


@pytest.mark.parametrize(
    ("words", "status", "reason"),
    [
        (["--role", "mail"], 2, "'mail' is not one of 'listener', 'settlement', 'enforcer'"),
        (["--workers", "0"], 2, "Invalid value for '--workers'"),
        (["--role", "http", "--workers", "2"], 1, "--workers is a number of listeners; allowed"),
        (["--slot", "0"], 1, "--slot is for one role on servers that are configured"),
    ],
)
def test_what_cannot_be_served_is_refused(words: list[str], status: int, reason: str) -> None:
    assert reason in refused(None, *words, status=status)
