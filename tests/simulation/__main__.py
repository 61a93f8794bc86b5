"""Many histories, until one breaks an invariant: `make sim ARGS="--seeds 1..1000"`."""

import argparse
import contextlib
import sys
import time
from collections import Counter
from collections.abc import Callable

from tests.balances.world import World as Ports
from tests.balances.world import memory_world
from tests.simulation.history import Told, live
from tests.simulation.road import Run, run_in_memory
from tests.simulation.valkey import own_valkey


def main() -> int:
    """Live through histories; 1 at the first one that breaks."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", default="1..100", help="A..B, both included (1..100)")
    parser.add_argument("--seed", type=int, help="this one only")
    parser.add_argument("--events", type=int, default=10_000, help="before the calm (10000)")
    parser.add_argument("--store", choices=("memory", "valkey"), default="memory")
    parser.add_argument("--trace", action="store_true", help="print every event and entry")
    asked = parser.parse_args()
    first, _, last = str(asked.seeds if asked.seed is None else asked.seed).partition("..")
    with contextlib.ExitStack() as stack:
        ports: Callable[[], Ports] = memory_world
        run: Run = run_in_memory
        if asked.store == "valkey":
            ports, run = stack.enter_context(own_valkey())
        seeds = range(int(first), int(last or first) + 1)
        return _live(seeds, asked.events, asked.store, ports, run, print if asked.trace else None)


def _live(
    seeds: range,
    events: int,
    store: str,
    ports: Callable[[], Ports],
    run: Run,
    trace: Callable[[str], None] | None,
) -> int:
    began, sums = time.monotonic(), Counter[str]()
    happened: Counter[str] = Counter()
    for number, seed in enumerate(seeds, 1):
        told = live(seed, events, ports=ports(), run=run, trace=trace)
        if told.failure is not None:
            _show(told, events, store)
            return 1
        sums.update(events=told.events, checks=told.steps, lives=told.lives, doubt=told.doubtful)
        happened.update(told.happened)
        if number % 10 == 0 or seed == seeds[-1]:
            rate = sums["events"] / (time.monotonic() - began)
            print(f"{number} seeds to {seed}: {sums['events']} events, {rate:.0f}/s", flush=True)
    print(", ".join(f"{times} {what}" for what, times in happened.most_common()))
    print(
        f"{len(seeds)} seeds, {sums['events']} events, {sums['checks']} checks of the books,"
        f" {sums['lives']} sessions ({sums['doubt']} under names in doubt): no violation"
    )
    return 0


def _show(told: Told, events: int, store: str) -> None:
    print("\n".join(told.last))
    print(told.failure)
    print(f"seed {told.seed} breaks at event {told.events} (digest {told.digest[:16]}); replay:")
    print(
        f"python -m tests.simulation --seed {told.seed} --events {events} --store {store} --trace"
    )


if __name__ == "__main__":
    sys.exit(main())
