"""A soak: the main job for a while at a moderate rate, and whether anything grows meanwhile.

    python -m bench.soak [--minutes 20] [--rate R] [--sessions 10000] [--workers 2]

`ratewire serve` with embedded servers, and bench.load at a rate; without --rate, at half of what is
answered in the first seconds. Sessions end after --reports reports, and their users begin others.
Looked at every few seconds are the memory of every process, Valkey's data, the stream, and the
tables of Postgres; the latency is told by minute. It ends with the conservation check and with a
verdict by bench.growth: exit status 1 if something is not flat. See bench/README.md.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import psutil

from bench.growth import Look, verdicts
from bench.machine import machine
from bench.main_job import (
    Serving,
    conserve,
    drive,
    environment,
    kinds,
    load_command,
    set_up,
    shape,
    wait_settled,
)
from bench.scale import connected, store_memory
from billing.statements import load as load_statements
from config.load import load
from ratewire import logs
from ratewire.roles.follow import pause
from ratewire.wiring import System, now_ms

#: Looks of a run: often enough for a line through them, and cheap enough not to be seen.
LOOKS: Final = 120
SHORTEST_PAUSE_S: Final = 1.0

_SQL = load_statements(__package__, "soak.sql")


async def look(system: System, data: Path, supervisor: int) -> Look:
    """Return what is there now, by name; octets, counts and milliseconds."""
    values: Look = {"at": time.time()}
    found = kinds(data, supervisor)
    found.pop("generator", None)
    # Not the child that rewrites its log: it shares the memory, and is gone soon.
    found["valkey"] = [pid for pid in found["valkey"] if _parent(pid) not in found["valkey"]]
    for kind, pids in found.items():
        for at, pid in enumerate(sorted(pids)):
            name = kind if len(pids) == 1 or kind == "postgres" else f"{kind}-{at}"
            values |= _memory(name, pid, values)
    settler = await system.settler()
    lag = await settler.lag(now_ms())
    memory = await store_memory(system)
    keys = int(await system.connection.command("DBSIZE"))
    values |= {
        "settlement lag ms": lag.oldest_ms,
        "stream length": int(
            await system.connection.command("XLEN", f"{system.connection.prefix}:settle")
        ),
        "store used_memory": memory["used_memory"],
        "store keys": keys,
    }
    async with (await system.pool()).acquire() as conn:
        tables = await conn.fetch(_SQL["tables"])
    for row in tables:
        values[f"{row['name']} rows"] = row["rows"]
        values[f"{row['name']} dead rows"] = row["dead"]
        values[f"{row['name']} octets"] = row["octets"]
    return values


def _parent(pid: int) -> int:
    try:
        return psutil.Process(pid).ppid()
    except psutil.Error:
        return 0


def _memory(name: str, pid: int, so_far: Mapping[str, float]) -> Look:
    """A process's memory; what belongs to Postgres is added up, for its processes come and go."""
    try:
        memory = psutil.Process(pid).memory_full_info()
    except psutil.Error:
        return {}
    found = {f"{name} uss": memory.uss}
    if name != "postgres":  # there it counts the shared buffers with every process
        found[f"{name} rss"] = memory.rss
    return {each: value + so_far.get(each, 0) for each, value in found.items()}


async def watch(
    system: System,
    data: Path,
    supervisor: int,
    looks: list[Look],
    stop: asyncio.Event,
    every: float,
) -> None:
    """Look again and again until `stop` is set."""
    while not stop.is_set():
        looks.append(await look(system, data, supervisor))
        await pause(stop, every)


async def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Run it."""
    with tempfile.TemporaryDirectory(prefix="ratewire-soak-", dir=arguments.directory) as name:
        directory = Path(name)
        directory.chmod(0o755)
        env = environment(directory)
        async with connected(load(None, {**os.environ, **env})) as system:
            await set_up(system, arguments.sessions)
            serving = Serving(env, arguments.workers)
            try:
                serving.wait_ready()
                pid = serving.process.pid
                return await _measure(system, env, arguments, directory, pid)
            finally:
                serving.stop()


async def _measure(
    system: System,
    env: Mapping[str, str],
    arguments: argparse.Namespace,
    data: Path,
    supervisor: int,
) -> dict[str, Any]:
    options = shape(arguments) | {"sessions": arguments.sessions}
    first = await asyncio.to_thread(drive, env, **options, rate=0, times=1)
    rate = arguments.rate or round(first["reported"] / arguments.seconds / 2)
    _tell(f"{rate} records a second for {arguments.minutes} minutes")
    looks: list[Look] = []
    stop = asyncio.Event()
    seconds = arguments.minutes * 60
    times = max(1, round(arguments.minutes))
    every = max(SHORTEST_PAUSE_S, seconds / LOOKS)
    watching = asyncio.create_task(watch(system, data, supervisor, looks, stop, every))
    options |= {"seconds": seconds / times, "times": times, "rate": rate}
    options |= {"started": first["started"], "turns": first["turns"]}
    options |= {"reports": arguments.reports}
    minutes, sent = await asyncio.to_thread(_drive, load_command(env, **options))
    lag = await wait_settled(system)
    stop.set()
    await watching
    books = await conserve(system, sent)
    judged = verdicts(looks, minutes)
    return {
        "workers": arguments.workers,
        "sessions": arguments.sessions,
        "reports_a_session": arguments.reports,
        "rate": rate,
        "minutes": minutes,
        "looks": len(looks),
        "seconds_to_settle_the_rest": round(lag, 2),
        "growth": judged,
        "flat": all(each["flat"] for each in judged.values()),
        "last_look": looks[-1],
        "conservation": books,
    }


def _drive(command: list[str]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Run the load; return what it measured by minute, and its sums."""
    lines: list[dict[str, Any]] = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as loading:
        assert loading.stdout is not None
        for text in loading.stdout:
            lines.append(json.loads(text))
            if "p99_ms" in lines[-1]:
                _tell(text.strip())
    assert loading.returncode == 0, loading.returncode
    return lines[:-1], lines[-1]


def _tell(what: str) -> None:
    print(f"bench.soak: {what}", file=sys.stderr, flush=True)


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    made = argparse.ArgumentParser(description=__doc__)
    made.add_argument("--minutes", type=float, default=20)
    made.add_argument("--rate", type=int, help="records a second; half of what it can, if left out")
    made.add_argument("--workers", type=int, default=2)
    made.add_argument("--sessions", type=int, default=10_000)
    made.add_argument("--reports", type=int, default=100, help="of a session until it ends")
    made.add_argument("--seconds", type=float, default=5, help="to find the full rate")
    made.add_argument("--sockets", type=int, default=8)
    made.add_argument("--window", type=int, default=64)
    made.add_argument("--directory", default=None, help="where the data are (a real disk)")
    return made


def main() -> int:
    """Run from the command line; print the result as JSON."""
    arguments = parser().parse_args()
    logs.configure("warning", None, role="bench")  # standard output is for the result
    result = asyncio.run(measure(arguments))
    print(json.dumps({"machine": machine(), **result}, indent=2))
    return 0 if result["flat"] else 1


if __name__ == "__main__":
    sys.exit(main())
