"""Hostile input, until something gives: `make fuzz`. README.md says what is sent and checked."""

import argparse
import json
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import msgspec

from tests.fuzz import access, engine, listener


def main() -> int:
    """Run from the command line; 1 if something was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    targets = parser.add_subparsers(dest="target", required=True)
    for name, run, told in (
        ("engine", _engine, "the decoder and the engine, in processes of their own"),
        ("access", _access, "Access-Requests, and answers to our own requests"),
        ("listener", _listener, "a running system, beside traffic that it serves"),
    ):
        target = targets.add_parser(name, help=told)
        target.set_defaults(run=run)
        target.add_argument("--seed", type=int, default=1, help="of the first round (1)")
        target.add_argument("--seconds", type=float, default=60, help="at the longest (60)")
        if name == "engine":
            target.add_argument("--datagrams", type=int, default=10**9, help="at the most")
            target.add_argument("--processes", type=int, default=2, help="2")
        elif name == "access":
            target.add_argument("--datagrams", type=int, default=10**9, help="at the most")
        else:
            target.add_argument("--rate", type=int, default=6000, help="hostile, a second (6000)")
    asked = parser.parse_args()
    return asked.run(asked)


def _engine(asked: argparse.Namespace) -> int:
    began, count = time.monotonic(), asked.processes
    outcomes: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    rounds, growth = 0, 0
    with ProcessPoolExecutor(count, get_context("spawn")) as pool:
        share = -(-asked.datagrams // count)
        running = [
            pool.submit(engine.told, asked.seed + n, count, asked.seconds, share)
            for n in range(count)
        ]
        for each in running:
            told = each.result()
            if isinstance(told, str):
                print(told)
                return 1
            outcomes.update(msgspec.structs.asdict(told.outcomes))
            reasons.update(told.reasons)
            rounds, growth = rounds + told.rounds, max(growth, told.growth_octets)
    seconds = time.monotonic() - began
    print(", ".join(f"{n} {reason}" for reason, n in reasons.most_common()))
    print(
        f"{rounds} rounds from seed {asked.seed}, {outcomes['datagrams']} datagrams in"
        f" {seconds:.0f} s: {outcomes['requests']} requests ({outcomes['by_pyrad']} read by pyrad,"
        f" too), {outcomes['duplicates']} answered again, {outcomes['refused']} refused;"
        f" memory +{growth / 1024:.0f} KiB; nothing raised, all as it must be"
    )
    return 0


def _access(asked: argparse.Namespace) -> int:
    told = access.run(asked.seed, seconds=asked.seconds, datagrams=asked.datagrams)
    print(json.dumps(msgspec.to_builtins(told), indent=2))
    return 0


def _listener(asked: argparse.Namespace) -> int:
    told = listener.run(asked.seed, asked.seconds, asked.rate)
    print(json.dumps(msgspec.to_builtins(told), indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
