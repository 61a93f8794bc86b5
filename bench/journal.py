"""What the local journal costs: keeping a record, replaying it, and nothing while it is idle.

A keeper as the listener role wires it, without the socket: batches of Interim datagrams (one a
session) are kept on disk by one write and one fdatasync each; then they are replayed into a real
Valkey (`appendfsync always`). Idle is the time of `handle` of intake and of keeper around a `book`
that does nothing, in turns.

    python -m bench.journal [--sessions N] [--rounds N] [--directory DIRECTORY]

Prints one JSON object. `--directory` says which disk is measured.
"""

import argparse
import asyncio
import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from balances.errors import StoreUnavailable
from balances.housekeeping import StreamAndBooks
from bench.machine import machine
from bench.stages import Bench, NoArchive, open_accounts
from radius.engine import Request
from radius.records import AccountingRecord
from ratewire import logs
from ratewire.embedded.servers import EmbeddedServers, describe
from ratewire.journal.keeper import Keeper
from ratewire.journal.slots import claim
from ratewire.observer import Silent
from ratewire.pipeline.intake import Booked, Intake
from ratewire.pipeline.raters import Raters
from ratewire.pipeline.steps import Terms
from ratewire.roles.leaf import collect_garbage_seldom
from ratewire.wiring import now_ms

_START, _INTERIM = 1, 3
BATCHES = (1, 16, 256)
IDLE_BATCHES = 2_000
MAX_OCTETS = 8 * 1024**3


class Away(Intake):
    """An intake whose store is away, as long as it is told so; or that books at once."""

    def __init__(self, bench: Bench, *, away: bool) -> None:
        raters = Raters(bench.store, Terms(), clock_ms=now_ms, wraps_32=lambda _: False)
        super().__init__(
            bench.store,
            raters,
            NoArchive(),  # pyright: ignore[reportArgumentType] -- it is never asked
            Silent(),
            clock_ms=now_ms,
        )
        self.away = away

    async def book(self, records: Sequence[AccountingRecord]) -> Booked:
        """Book nothing."""
        return Booked((), StoreUnavailable("away")) if self.away else Booked(records)


def keeper(intake: Intake, root: Path) -> Keeper:
    """One that keeps from the first failure on."""
    slot = claim(root, 0, max_octets=MAX_OCTETS, now_ms=now_ms)
    return Keeper(intake, slot, Silent(), grace_seconds=0, batch=256)


def requests(bench: Bench, status: int, reports: int) -> list[Request]:
    """One report of every session, verified and decoded."""
    return [
        request
        for batch in bench.datagrams(status, reports)
        for request in bench.engine.receive(batch, now_ms()).requests
    ]


async def keep(
    bench: Bench, found: Sequence[Request], root: Path, batch: int, seconds: float
) -> dict[str, int]:
    """Keep batch after batch for so long."""
    kept, synced, worst = 0, 0, 0.0
    keeping = keeper(Away(bench, away=True), root)
    began = time.perf_counter()
    while time.perf_counter() - began < seconds:
        at = synced * batch % (len(found) - batch + 1)
        before = time.perf_counter()
        kept += len(await keeping.handle(found[at : at + batch]))
        worst = max(worst, time.perf_counter() - before)
        synced += 1
    elapsed = time.perf_counter() - began
    octets = keeping.waiting[0].octets
    keeping.close()
    return {
        "batch": batch,
        "records_per_second": round(kept / elapsed),
        "us_a_batch": round(elapsed / synced * 1e6),
        "us_a_batch_worst": round(worst * 1e6),
        "octets_a_record": octets // kept,
    }


async def replay(bench: Bench, root: Path, rounds: int) -> dict[str, int]:
    """Keep rounds of reports, and replay them into the store."""
    keeping = keeper(Away(bench, away=True), root)
    for reports in range(1, rounds + 1):
        found = requests(bench, _INTERIM, reports)
        for at in range(0, len(found), 256):
            await keeping.handle(found[at : at + 256])
    keeping.close()
    again = keeper(bench.intake, root)
    records = sum(each.records for each in again.waiting)
    began = time.perf_counter()
    await again.watch(asyncio.Event())
    elapsed = time.perf_counter() - began
    assert not again.holds
    again.close()
    return {"records": records, "records_per_second": round(records / elapsed)}


async def idle(bench: Bench, found: Sequence[Request], root: Path) -> dict[str, float]:
    """Nanoseconds a record of `handle` alone, in batches of 256: the better of some turns."""
    intake = Away(bench, away=False)
    keeping = keeper(intake, root)
    handlers = {"without": intake.handle, "with": keeping.handle}
    best: dict[str, float] = {}
    for _ in range(5):
        for name, handle in handlers.items():
            began = time.perf_counter()
            for _ in range(IDLE_BATCHES):
                await handle(found[:256])
            elapsed = time.perf_counter() - began
            best[name] = min(best.get(name, elapsed), elapsed)
    keeping.close()
    return {name: round(each / IDLE_BATCHES / 256 * 1e9, 1) for name, each in best.items()}


async def measure(arguments: argparse.Namespace) -> dict[str, object]:
    """Run it on a Valkey of its own."""
    with tempfile.TemporaryDirectory(prefix="ratewire-journal-", dir=arguments.directory) as name:
        directory = Path(name)
        directory.chmod(0o755)
        async with EmbeddedServers.use(directory, want_database=False, memory_mb=8192) as servers:
            bench = Bench(servers.store_url, arguments.sessions, 256)
            [server] = [each for each in describe(directory) if each.pid is not None]
            bench.costs.valkey_pid = server.pid or 0
            await bench.connection.load()
            await StreamAndBooks(bench.connection).initialise(1)
            await open_accounts(bench.store, arguments.sessions, "metered")
            found = requests(bench, _START, 0)
            for at in range(0, len(found), 256):
                await bench.intake.handle(found[at : at + 256])
            result: dict[str, object] = {
                "idle_ns_a_record": await idle(bench, found, directory / "idle"),
                "keep": [
                    await keep(bench, found, directory / f"keep{batch}", batch, 2.0)
                    for batch in BATCHES
                ],
                "replay": await replay(bench, directory / "replay", arguments.rounds),
            }
            await bench.connection.close()
            return result


def main() -> None:
    """Run from the command line; print the result as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--directory", default="/tmp")
    logs.configure("error", "json", role="bench")
    collect_garbage_seldom()
    result = asyncio.run(measure(parser.parse_args()))
    print(json.dumps({"machine": machine(), **result}, indent=2))


if __name__ == "__main__":
    main()
