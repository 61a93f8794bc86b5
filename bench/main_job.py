"""The main job under load: durable, rated, reserved, acknowledged, settled; records a second.

Starts the real thing (`ratewire serve`, embedded Valkey with `appendfsync always`, embedded
Postgres) in a temporary directory, opens sessions of as many accounts, and lets bench.load report
usage as fast as it is answered. Ends with the conservation check: what was acknowledged equals what
the ledger and the sessions hold, to the octet and the micro, and `reconcile` finds no drift.

    python -m bench.main_job --workers 1 --sessions 10000 --seconds 20

See bench/README.md for the method and what the figures mean.
"""

import argparse
import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from bench.load import ACCOUNT, USER
from bench.machine import machine
from billing.catalogue.planfile import read_plans
from billing.catalogue.plans import load_plans
from billing.nas import register as nas
from billing.reconcile.run import reconcile
from billing.sessions.usage import report
from billing.subscribers.bulk_import import import_csv
from config.load import load
from config.settings import Settings
from ratewire import logs
from ratewire.preparation import prepare
from ratewire.roles.follow import pause
from ratewire.wiring import System, Urls, now, now_ms, servers
from rating.charge import running_total
from rating.quantity import Counters

SECRET = "bench-secret"
PLANS = Path(__file__).parent.parent / "config" / "samples" / "plans.toml"

#: To compare the books of a million sessions.
BOOKS_S = 600.0

_TICKS = os.sysconf("SC_CLK_TCK")


def free_port(kind: int) -> int:
    """Return a port that is free now."""
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def environment(directory: Path) -> dict[str, str]:
    """Return the settings of a system of its own in a directory."""
    return {
        "RATEWIRE_DATA__DIR": str(directory / "var"),
        "RATEWIRE_RADIUS__BIND": "127.0.0.1",
        "RATEWIRE_RADIUS__ACCT_PORT": str(free_port(socket.SOCK_DGRAM)),
        "RATEWIRE_RADIUS__AUTH_PORT": str(free_port(socket.SOCK_DGRAM)),
        "RATEWIRE_HTTP__PORT": str(free_port(socket.SOCK_STREAM)),
        "RATEWIRE_STORE__EMBEDDED_MEMORY_MB": "8192",
        "RATEWIRE_LOG__LEVEL": "warning",
    }


async def set_up(system: System, sessions: int) -> None:
    """Load the plans, the NAS, and a subscriber with an account and money for each session."""
    await prepare(system, migrate=True)
    async with (await system.pool()).acquire() as conn:
        await load_plans(conn, read_plans(PLANS), now())
        await nas.add(
            conn, system.keyring, "load", source="127.0.0.0/8", secret=SECRET.encode(), now=now()
        )
        rows = (f"{USER.format(n)},{ACCOUNT.format(n)},metered,EUR,100000" for n in range(sessions))
        header = "username,account,plan,currency,topup"
        await import_csv(conn, system.keyring, [header, *rows], actor="bench", now=now())
    relay = await system.relay()
    await relay.publish()
    await relay.drain()


class Serving:
    """`ratewire serve` as a process of its own, and what it costs."""

    def __init__(self, env: Mapping[str, str], workers: int) -> None:
        self._env = env
        self.process = subprocess.Popen(
            [sys.executable, "-m", "ratewire", "serve", "--workers", str(workers)],
            env={**os.environ, **env},
            start_new_session=True,
        )

    def wait_ready(self, seconds: float = 60) -> None:
        """Return once all of it does its work."""
        url = f"http://127.0.0.1:{self._env['RATEWIRE_HTTP__PORT']}/readyz"
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                with urllib.request.urlopen(url, timeout=2):
                    return
            except OSError:
                time.sleep(0.1)
        raise TimeoutError("it did not become ready")

    def stop(self) -> None:
        """Stop it as an operator would, and see that it ends well."""
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(60)
        assert status == 0, status


def cpu_seconds(data: Path, supervisor: int) -> dict[str, float]:
    """Return the processor time used so far, by kind of process of one system and its load.

    Others may run beside it: ours are the processes of that supervisor, and the servers of `data`.
    """
    used: dict[str, float] = {}
    for kind, pids in kinds(data, supervisor).items():
        for pid in pids:
            with suppress(OSError):
                stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                used[kind] = used.get(kind, 0.0) + (int(stat[11]) + int(stat[12])) / _TICKS
    return used


def kinds(data: Path, supervisor: int) -> dict[str, list[int]]:
    """Return the pids of a system and its load, by what they are."""
    found: dict[str, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            stat = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        kind = _kind(command, int(entry.name), int(stat[1]), data, supervisor)
        if kind is not None:
            found.setdefault(kind, []).append(int(entry.name))
    return found


def _kind(command: str, pid: int, parent: int, data: Path, supervisor: int) -> str | None:
    if command.endswith(f"--parent {supervisor} "):
        return command.partition("--role ")[2].split(" ")[0]
    if pid == supervisor:
        return "supervisor"
    if "bench.load" in command and parent == os.getpid():
        return "generator"
    if str(data) in command:
        return "valkey" if "valkey" in command else "postgres"
    if command.startswith("postgres:"):
        try:
            line = Path(f"/proc/{parent}/cmdline").read_bytes().decode()
        except OSError:
            return None
        return "postgres" if str(data) in line else None
    return None


def load_command(env: Mapping[str, str], **options: object) -> list[str]:
    """Return the command line of the load generator against a system, with these options."""
    words = {"secret": SECRET, "port": env["RATEWIRE_RADIUS__ACCT_PORT"], **options}
    return [sys.executable, "-m", "bench.load", *(f"--{name}={words[name]}" for name in words)]


def drive(env: Mapping[str, str], **options: object) -> dict[str, Any]:
    """Run the load generator and return what it measured."""
    done = subprocess.run(
        load_command(env, **options), check=True, stdout=subprocess.PIPE, text=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def shape(arguments: argparse.Namespace) -> dict[str, object]:
    """Return the load's options that every run has: how long, and what is outstanding."""
    return {name: getattr(arguments, name) for name in ("seconds", "sockets", "window")}


class Sampler:
    """Looks every half second at what each process has used, and how far settlement is behind."""

    def __init__(self, system: System, data: Path, supervisor: int) -> None:
        self.stop = asyncio.Event()
        self._system = system
        self._data = data
        self._supervisor = supervisor
        self._samples: list[tuple[float, dict[str, float], float]] = []

    async def run(self) -> None:
        """Look until `stop` is set."""
        settler = await self._system.settler()
        while not self.stop.is_set():
            lag = await settler.lag(now_ms())
            used = cpu_seconds(self._data, self._supervisor)
            self._samples.append((time.time(), used, lag.oldest_ms / 1000))
            await pause(self.stop, 0.5)

    def phases(self, sent: Mapping[str, Any]) -> dict[str, Any]:
        """Return what the load measured at full and at half rate, with what it cost."""
        return {name: sent[name] | self.during(sent[name]) for name in ("full", "half")}

    def during(self, phase: Mapping[str, Any]) -> dict[str, Any]:
        """Return processor time a record by process, and the longest lag, of one phase."""
        end = phase["at"] + phase["seconds"]
        within = [sample for sample in self._samples if phase["at"] <= sample[0] <= end]
        (began, before, _), (ended, after, _) = within[0], within[-1]
        records = phase["records_per_second"] * (ended - began)
        return {
            "settlement_lag_seconds_max": max(lag for _, _, lag in within),
            "cpu_us_per_record": {
                kind: round((used - before.get(kind, 0.0)) / records * 1e6, 1)
                for kind, used in sorted(after.items())
            },
            "cores_busy": round(
                sum(used - before.get(kind, 0.0) for kind, used in after.items()) / (ended - began),
                2,
            ),
        }


async def wait_settled(system: System) -> float:
    """Return the seconds until nothing waits for settlement."""
    began = time.perf_counter()
    while (await system.stream.books()).settled_lag:
        await asyncio.sleep(0.02)
    return time.perf_counter() - began


async def conserve(system: System, sent: Mapping[str, Any]) -> dict[str, Any]:
    """Compare what was acknowledged with what is in the books; raise if a unit is missing."""
    async with (await system.pool()).acquire() as conn:
        await conn.execute(f"SET statement_timeout = '{BOOKS_S:.0f}s'")
        total = (await report(conn)).total
        charged = await conn.fetchval(
            "SELECT coalesce(sum(amount_micros), 0) FROM ledger_postings WHERE ledger = 30"
        )
        one = await conn.fetch(
            "SELECT DISTINCT ON (session_uid) used_seconds, used_octets_in, used_octets_out,"
            " total_micros FROM usage_records ORDER BY session_uid, settled_at DESC,"
            " charge_sequence DESC",
            timeout=BOOKS_S,
        )
    found = {"octets_in": total.octets_in, "octets_out": total.octets_out}
    expected = {name: sent[name] for name in found}
    assert found == expected, f"acknowledged {expected}, in the books {found}"
    [plan] = [plan for plan in read_plans(PLANS) if plan.name == "metered"]
    price = sum(
        running_total(
            plan.tariff,
            Counters(row["used_seconds"], row["used_octets_in"], row["used_octets_out"]),
        )
        for row in one
    )
    assert price == -int(charged) == total.charged_micros, (price, charged, total.charged_micros)
    books = await reconcile(
        await system.pool(), system.stream, system.stream, limit_seconds=BOOKS_S
    )
    assert books.exact, books
    return {"exact": True, "charged_micros": price, "drift_micros": books.drift_micros, **found}


async def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Run one case."""
    with tempfile.TemporaryDirectory(prefix="ratewire-bench-", dir=arguments.directory) as name:
        directory = Path(name)
        directory.chmod(0o755)
        env = environment(directory)
        settings: Settings = load(None, {**os.environ, **env})
        async with servers(settings) as (urls, _):
            return await _measure(arguments, directory, env, settings, urls)


async def _measure(
    arguments: argparse.Namespace,
    directory: Path,
    env: Mapping[str, str],
    settings: Settings,
    urls: Urls,
) -> dict[str, Any]:
    system = System(settings, urls)
    await set_up(system, arguments.sessions)
    serving = Serving(env, arguments.workers)
    try:
        serving.wait_ready()
        sampler = Sampler(system, directory, serving.process.pid)
        sampling = asyncio.create_task(sampler.run())
        sent = await asyncio.to_thread(drive, env, sessions=arguments.sessions, **shape(arguments))
        lag = await wait_settled(system)
        sampler.stop.set()
        await sampling
        return {
            "workers": arguments.workers,
            "sessions": arguments.sessions,
            "datagram_octets": sent["datagram_octets"],
            "opened_per_second": sent["opened_per_second"],
            **sampler.phases(sent),
            "seconds_to_settle_the_rest": round(lag, 2),
            "conservation": await conserve(system, sent),
        }
    finally:
        serving.stop()
        await system.close()


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    made = argparse.ArgumentParser(description=__doc__)
    made.add_argument("--workers", type=int, default=1)
    made.add_argument("--sessions", type=int, default=10_000)
    made.add_argument("--seconds", type=float, default=20)
    made.add_argument("--sockets", type=int, default=8)
    made.add_argument("--window", type=int, default=64)
    made.add_argument("--directory", default=None, help="where the data are (a real disk)")
    return made


def main() -> None:
    """Run from the command line; print the result as JSON."""
    arguments = parser().parse_args()
    logs.configure("warning", None, role="bench")  # standard output is for the result
    result = asyncio.run(measure(arguments))
    print(json.dumps({"machine": machine(), **result}, indent=2))


if __name__ == "__main__":
    main()
