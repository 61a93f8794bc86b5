"""The main job at 1,000, 100,000 and 1,000,000 open sessions: rate, latency, cost, memory, start.

    python -m bench.scale [--sessions 1000,100000,1000000] [--seconds 20]

For each number of sessions a new installation, as of bench.main_job: `ratewire serve` with embedded
servers. Every session is opened by its Start over UDP, as fast as that is answered. Then all of it
is stopped and started again with one listener, which is timed, and measured at full and at half
rate; then the same with two. It ends with the conservation check over all of it. See
bench/README.md.
"""

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from bench.machine import machine
from bench.main_job import (
    Sampler,
    Serving,
    conserve,
    drive,
    environment,
    shape,
    wait_settled,
)
from bench.population import populate
from config.load import load
from config.settings import Settings
from ratewire import logs
from ratewire.wiring import System, servers

#: A store with a million sessions reads its log first.
READY_S: Final = 600.0

#: What a record may cost more at any number of sessions than at the least, and be flat.
FLAT: Final = 0.15

#: What a session may take in the store, in octets.
SESSION_OCTETS: Final = 1024


@asynccontextmanager
async def connected(settings: Settings) -> AsyncGenerator[System]:
    """The servers of an installation, for as long as this lasts or longer if others use them."""
    async with servers(settings) as (urls, _):
        system = System(settings, urls)
        try:
            yield system
        finally:
            await system.close()


async def store_memory(system: System) -> dict[str, int]:
    """Return the octets that the store's data take (used_memory), and its process (RSS)."""
    told: bytes = await system.connection.command("INFO", "memory")
    info = dict(line.split(":", 1) for line in told.decode().splitlines() if ":" in line)
    return {name: int(info[name]) for name in ("used_memory", "used_memory_rss")}


class Case:
    """One number of sessions, on an installation of its own."""

    def __init__(self, directory: Path, sessions: int, arguments: argparse.Namespace) -> None:
        self._directory = directory
        self._sessions = sessions
        self._arguments = arguments
        self._env = environment(directory)
        self._settings: Settings = load(None, {**os.environ, **self._env})

    async def run(self) -> dict[str, Any]:
        """Open all sessions, then measure with one listener and with two."""
        _tell(f"{self._sessions} sessions: setting up")
        async with connected(self._settings) as system:
            await populate(system, self._sessions)
            before = await store_memory(system)
        opened, after = await self._open()
        runs: list[dict[str, Any]] = []
        sent = opened | {"turns": ""}
        for workers in (1, 2):
            sent, run = await self._measure(workers, sent)
            runs.append(run)
        _tell(f"{self._sessions} sessions: comparing the books")
        async with connected(self._settings) as system:
            books = await conserve(system, sent)
        return {
            "sessions": self._sessions,
            "opened_per_second": opened["opened_per_second"],
            "octets_per_session": octets_per_session(before, after, self._sessions),
            "store_memory": after,
            "runs": runs,
            "conservation": books,
        }

    async def _open(self) -> tuple[dict[str, Any], dict[str, int]]:
        """Open all sessions; return what the load says, and the store's memory once settled."""
        _tell(f"{self._sessions} sessions: opening")
        serving, _ = self._start(2)
        try:
            options = shape(self._arguments) | {"rate": 1, "times": 0}
            sent = await asyncio.to_thread(drive, self._env, sessions=self._sessions, **options)
            async with connected(self._settings) as system:
                await wait_settled(system)
                return sent, await store_memory(system)
        finally:
            serving.stop()

    async def _measure(
        self, workers: int, before: Mapping[str, Any]
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Start it with so many listeners, and measure, going on from where `before` has ended.

        Return what the load says of both together, and the figures.
        """
        _tell(f"{self._sessions} sessions: measuring, listeners: {workers}")
        serving, ready_s = self._start(workers)
        try:
            async with connected(self._settings) as system:
                sampler = Sampler(system, self._directory, serving.process.pid)
                sampling = asyncio.create_task(sampler.run())
                sent = await asyncio.to_thread(
                    drive,
                    self._env,
                    sessions=self._sessions,
                    started=before["started"],
                    turns=before["turns"],
                    **shape(self._arguments),
                )
                lag = await wait_settled(system)
                sampler.stop.set()
                await sampling
                return sent, {
                    "workers": workers,
                    "seconds_to_ready": round(ready_s, 2),
                    **sampler.phases(sent),
                    "seconds_to_settle_the_rest": round(lag, 2),
                }
        finally:
            serving.stop()

    def _start(self, workers: int) -> tuple[Serving, float]:
        """Start `ratewire serve` and its servers; return it, and the seconds until it was ready."""
        began = time.perf_counter()
        serving = Serving(self._env, workers)
        try:
            serving.wait_ready(READY_S)
        except BaseException:
            serving.stop()
            raise
        return serving, time.perf_counter() - began


def octets_per_session(before: Mapping[str, int], after: Mapping[str, int], sessions: int) -> int:
    """Return what a session takes in the store, rounded: its data, keys, and places in indexes.

    `before` has the accounts and subscribers already, and nothing else comes between.
    """
    taken = after["used_memory"] - before["used_memory"]
    return (2 * taken + sessions) // (2 * sessions)


def record_cost_us(phase: Mapping[str, Any]) -> float:
    """Return the processor time of a record in all processes of the product together."""
    costs: Mapping[str, float] = phase["cpu_us_per_record"]
    return round(sum(us for kind, us in costs.items() if kind != "generator"), 1)


def flatness(cases: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return what a record costs by the number of listeners and of sessions, and if that is flat.

    At full rate: there no time is lost on rounds with little to do, whose number does not follow
    the sessions. Flat is what is nowhere beyond that of the fewest sessions by more than FLAT.
    """
    told: dict[str, Any] = {"allowed": FLAT}
    for at, run in enumerate(cases[0]["runs"]):
        costs = {case["sessions"]: record_cost_us(case["runs"][at]["full"]) for case in cases}
        least = costs[min(costs)]
        worst = max(costs.values()) / least - 1
        told[f"{run['workers']}_listeners"] = {
            "us_per_record": costs,
            "most_beyond_the_fewest_sessions": round(worst, 3),
            "flat": worst <= FLAT,
        }
    return told


def _tell(what: str) -> None:
    print(f"bench.scale: {what}", file=sys.stderr, flush=True)


async def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Run all cases."""
    cases: list[dict[str, Any]] = []
    for sessions in arguments.sessions:
        with tempfile.TemporaryDirectory(prefix="ratewire-scale-", dir=arguments.directory) as name:
            directory = Path(name)
            directory.chmod(0o755)
            cases.append(await Case(directory, sessions, arguments).run())
            print(json.dumps(cases[-1]), file=sys.stderr, flush=True)
    most = max(cases, key=lambda case: case["sessions"])
    return {
        "cases": cases,
        "flat": flatness(cases),
        "octets_per_session": {
            "measured": most["octets_per_session"],
            "allowed": SESSION_OCTETS,
            "within": most["octets_per_session"] <= SESSION_OCTETS,
        },
    }


def _numbers(text: str) -> list[int]:
    return sorted(map(int, text.split(",")))


def main() -> None:
    """Run from the command line; print the result as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=_numbers, default=[1_000, 100_000, 1_000_000])
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--sockets", type=int, default=8)
    parser.add_argument("--window", type=int, default=64)
    parser.add_argument("--directory", default=None, help="where the data are (a real disk)")
    arguments = parser.parse_args()
    logs.configure("warning", None, role="bench")  # standard output is for the result
    result = asyncio.run(measure(arguments))
    print(json.dumps({"machine": machine(), **result}, indent=2))


if __name__ == "__main__":
    main()
