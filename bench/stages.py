"""What one record costs the listener, stage by stage, in processor time; and with a profile.

The listener's own parts, without its socket: batches of Interim datagrams (one a session, as a NAS
sends them) go through the engine, the pipeline against a real Valkey (`appendfsync always`), and
come out as replies. Timed is the processor time of this process in each stage, and of Valkey over
all of them; waiting is not counted. No settlement runs beside it, so the stream grows.

    python -m bench.stages [--sessions N] [--batch N] [--rounds N] [--profile]

Prints one JSON object, in microseconds a record; with --profile also the functions that cost most.
"""

import argparse
import asyncio
import cProfile
import io
import json
import pstats
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from balances.connection import Connection
from balances.housekeeping import StreamAndBooks
from balances.messages import CommitResult, Lookup, OpenAccount, Post, PutSubscriber, Snapshot, Step
from balances.store import Store
from bench.load import ACCOUNT, USER, Template
from bench.machine import machine
from bench.rating import allowances_plan, rules_plan
from billing.catalogue.planfile import read_plans
from radius.clients import Client, ClientTable, network
from radius.engine import Address, Engine
from ratewire.embedded.servers import EmbeddedServers, describe
from ratewire.observer import Silent
from ratewire.pipeline.intake import Intake
from ratewire.pipeline.plans import encode_plan, published_name
from ratewire.pipeline.raters import Raters
from ratewire.pipeline.steps import Terms
from ratewire.roles.leaf import collect_garbage_seldom
from ratewire.wiring import now_ms

SECRET = "bench-secret"
PLANS = Path(__file__).parent.parent / "config" / "samples" / "plans.toml"
SOURCE: Address = ("127.0.0.1", 40_000)
_START, _INTERIM = 1, 3


class Costs:
    """Processor seconds by stage, of this process and of Valkey."""

    def __init__(self) -> None:
        self.listener: dict[str, float] = defaultdict(float)
        self.valkey: dict[str, float] = defaultdict(float)
        self.valkey_pid = 0

    @contextmanager
    def stage(self, name: str) -> Generator[None]:
        """Book what is used meanwhile to a stage."""
        ours, theirs = time.process_time(), _cpu_seconds(self.valkey_pid)
        yield
        self.listener[name] += time.process_time() - ours
        self.valkey[name] += _cpu_seconds(self.valkey_pid) - theirs


class MeasuredStore(Store):
    """The store, with what its two calls of the hot path cost this process."""

    def __init__(self, connection: Connection, costs: Costs) -> None:
        super().__init__(connection)
        self._costs = costs

    async def read(self, lookups: Sequence[Lookup]) -> Snapshot:
        with self._costs.stage("read"):
            return await super().read(lookups)

    async def commit(self, steps: Sequence[Step], loose: Sequence[bytes] = ()) -> CommitResult:
        with self._costs.stage("commit"):
            return await super().commit(steps, loose)


class NoArchive:
    """No session is looked up: they all begin with a Start."""

    async def find(self, keys: Sequence[str]) -> Mapping[str, object]:
        """Fail: it is not asked."""
        raise AssertionError(keys)


async def open_accounts(store: Store, sessions: int, plan: str) -> None:
    """Put the plans, and a subscriber with money for each session, straight into the store."""
    plans = [*read_plans(PLANS), rules_plan(), allowances_plan()]
    await store.publish("plans", 1, {published_name(each): encode_plan(each) for each in plans})
    for first in range(0, sessions, 500):
        movements: list[OpenAccount | Post | PutSubscriber] = []
        for number in range(first, min(first + 500, sessions)):
            account = ACCOUNT.format(number)
            movements += [
                OpenAccount(account, 1, "EUR"),
                Post(account, 2, 10**12),
                PutSubscriber(account, 3, USER.format(number), plan),
            ]
        await store.apply(movements)


class Bench:
    """The listener's parts, wired as `ratewire.roles.listener` does it."""

    def __init__(self, url: str, sessions: int, batch: int) -> None:
        self.costs = Costs()
        self.connection = Connection(url)
        self.store = MeasuredStore(self.connection, self.costs)
        client = Client(name="load", source=network("127.0.0.0/8"), secret=SECRET.encode())
        self.engine = Engine(ClientTable([client]))
        raters = Raters(self.store, Terms(), clock_ms=now_ms, wraps_32=lambda _: False)
        self.intake = Intake(
            self.store,
            raters,
            NoArchive(),  # pyright: ignore[reportArgumentType] -- it is never asked
            Silent(),
            clock_ms=now_ms,
        )
        self._template = Template(SECRET.encode(), "load")
        self._sessions, self._batch = sessions, batch
        self._started = int(time.time()) - 5 * 86_400
        self._identifier = 0

    def datagrams(self, status: int, reports: int) -> list[list[tuple[bytes, Address]]]:
        """Return one report of every session, in batches as they come from the socket."""
        made: list[tuple[bytes, Address]] = []
        for number in range(self._sessions):
            self._identifier += 1
            address = ("127.0.0.1", 40_000 + self._identifier // 256 % 20_000)
            octets = self._template.request(
                self._identifier % 256, status, number, self._started, reports
            )
            made.append((octets, address))
        return [made[at : at + self._batch] for at in range(0, len(made), self._batch)]

    async def answer(self, batch: Sequence[tuple[bytes, Address]]) -> int:
        """Take one batch all the way; return how many were answered."""
        costs, at = self.costs, now_ms()
        with costs.stage("verify_decode"):
            intake = self.engine.receive(batch, at)
        with costs.stage("pipeline"):
            durable = await self.intake.handle(intake.requests)
        with costs.stage("reply"):
            for request in durable:
                self.engine.answer(request, at)
        return len(durable)


async def measure(arguments: argparse.Namespace) -> dict[str, object]:
    """Run it on a Valkey of its own."""
    with tempfile.TemporaryDirectory(prefix="ratewire-stages-", dir="/tmp") as name:
        directory = Path(name)
        directory.chmod(0o755)
        async with EmbeddedServers.use(directory, want_database=False, memory_mb=8192) as servers:
            bench = Bench(servers.store_url, arguments.sessions, arguments.batch)
            [server] = [each for each in describe(directory) if each.pid is not None]
            bench.costs.valkey_pid = server.pid or 0
            await bench.connection.load()
            await StreamAndBooks(bench.connection).initialise(1)
            await open_accounts(bench.store, arguments.sessions, arguments.plan)
            for batch in bench.datagrams(_START, 0):
                await bench.answer(batch)
            result = await _rounds(bench, arguments)
            await bench.connection.close()
            return result


async def _rounds(bench: Bench, arguments: argparse.Namespace) -> dict[str, object]:
    profile = cProfile.Profile() if arguments.profile else None
    costs = bench.costs
    costs.listener.clear()
    costs.valkey.clear()
    answered, elapsed = 0, 0.0
    for reports in range(1, arguments.rounds + 1):
        batches = bench.datagrams(_INTERIM, reports)
        began = time.perf_counter()
        if profile:
            profile.enable()
        for batch in batches:
            answered += await bench.answer(batch)
        if profile:
            profile.disable()
        elapsed += time.perf_counter() - began
    assert answered == arguments.rounds * arguments.sessions, answered
    if profile:
        _print_profile(profile)
    us = {name: seconds / answered * 1e6 for name, seconds in costs.listener.items()}
    us["fold_rate"] = us.pop("pipeline") - us.get("read", 0) - us["commit"]
    valkey = {name: costs.valkey[name] / answered * 1e6 for name in ("read", "commit")}
    return {
        "sessions": arguments.sessions,
        "plan": arguments.plan,
        "batch": arguments.batch,
        "records": answered,
        "listener_us": {name: round(each, 1) for name, each in us.items()},
        "listener_us_in_all": round(sum(us.values()), 1),
        "valkey_us": {name: round(each, 1) for name, each in valkey.items()},
        "records_per_second_one_batch_at_a_time": round(answered / elapsed),
    }


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/schedstat").read_text(encoding="ascii").split()
    return int(fields[0]) / 1e9


def _print_profile(profile: cProfile.Profile) -> None:
    text = io.StringIO()
    pstats.Stats(profile, stream=text).sort_stats("tottime").print_stats(45)
    print(text.getvalue(), file=sys.stderr)


def main() -> None:
    """Run from the command line; print the result as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=10_000)
    parser.add_argument("--batch", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--plan", default="metered", help="or rules, allowances (bench.rating)")
    parser.add_argument("--profile", action="store_true")
    collect_garbage_seldom()
    result = asyncio.run(measure(parser.parse_args()))
    print(json.dumps({"machine": machine(), **result}, indent=2))


if __name__ == "__main__":
    main()
