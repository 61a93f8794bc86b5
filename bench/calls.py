"""What a call of the store costs its caller: redis-py's client, and the connection of our own.

    python -m bench.calls [--calls N]

A commit of nothing, one after the other, on a Valkey of its own, in processor time of this process
under uvloop. Prints one JSON object, in microseconds a call.
"""

import argparse
import asyncio
import json
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import uvloop

from balances import functions
from balances.connection import Connection
from balances.housekeeping import StreamAndBooks
from bench.machine import machine
from ratewire.embedded.servers import EmbeddedServers


async def cost_us(call: Callable[[], Awaitable[object]], calls: int) -> float:
    """Return what a call costs this process."""
    await call()
    began = time.process_time()
    for _ in range(calls):
        await call()
    return (time.process_time() - began) / calls * 1e6


async def measure(calls: int) -> dict[str, float]:
    """Measure both in turn, twice; the better of each."""
    with tempfile.TemporaryDirectory(prefix="ratewire-calls-", dir="/tmp") as name:
        directory = Path(name)
        directory.chmod(0o755)
        async with EmbeddedServers.use(directory, want_database=False) as servers:
            connection = Connection(servers.store_url)
            await connection.load()
            await StreamAndBooks(connection).initialise(1)
            commit = ("FCALL", functions.name("book"), 1, connection.prefix, "", 0, 0)
            found = {
                "redis-py": lambda: connection.command(*commit),
                "wire": lambda: connection.ask(commit),
            }
            costs = {
                name: [await cost_us(call, calls) for _ in range(2)] for name, call in found.items()
            }
            await connection.close()
            return {name: round(min(each), 1) for name, each in costs.items()}


def main() -> None:
    """Run from the command line; print the result as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=3000)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        costs = runner.run(measure(parser.parse_args().calls))
    print(json.dumps({"machine": machine(), "us_per_call": costs}, indent=2))


if __name__ == "__main__":
    main()
