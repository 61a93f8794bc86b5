"""Rounds of hostile datagrams on the decoder and the engine in this process, all outcomes checked.

A round is one seed: the same datagrams in the same batches. The engine lives on from round to
round, as it does in a server, and what it remembers has expired by the next one.
"""

import json
import random
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path

import msgspec
import psutil

from radius.clients import Client, ClientTable, network
from radius.engine import Engine, Request
from tests.fuzz.auditor import Audit, Outcomes
from tests.fuzz.mutation import Datagram, Mutator
from tests.fuzz.vocabulary import Source

ROUND = 20_000
BATCH = 256
LIFETIME_MS = 30_000
#: When a round begins: the engine's clock, which the records of the mutator agree with.
NOW_MS = 1_700_000_000_000
#: Resident memory may grow by so much between the tenth round and the last.
GROWTH_OCTETS = 4 << 20

_ALPHA, _BETA, _GAMMA = b"alpha-secret", b"b", b"\x00\xff" * 40

SOURCES = (
    *[Source(f"192.0.2.{n}", _ALPHA) for n in range(1, 8)],
    Source("::ffff:192.0.2.9", _ALPHA),
    Source("198.51.100.7", _BETA),
    Source("2001:db8::7", _GAMMA),
    Source("203.0.113.1", None),
    Source("fe80::1%lo", None),
    Source("not an address", None),
)


def clients() -> ClientTable:
    """The clients of the sources that have a secret."""
    return ClientTable(
        (
            Client(name="alpha", source=network("192.0.2.0/24"), secret=_ALPHA),
            Client(name="beta", source=network("198.51.100.7"), secret=_BETA, swap_octets=False),
            Client(name="gamma", source=network("2001:db8::/32"), secret=_GAMMA),
        )
    )


class Failed(Exception):
    """A batch of a round that did not come to what it must."""

    def __init__(self, seed: int, batch: list[Datagram], cause: Exception) -> None:
        where = traceback.extract_tb(cause.__traceback__)[-1]
        super().__init__(f"seed {seed}: {type(cause).__name__}: {cause} ({where.line})")
        self.seed = seed
        self.batch = batch

    def write(self, directory: Path) -> Path:
        """Write the batch to a file, to be read by a person, and return its path."""
        path = directory / f"fuzz-acct-{self.seed}.json"
        lines = [
            {"octets": each.octets.hex(), "host": each.source.host, "port": each.port}
            for each in self.batch
        ]
        path.write_text(json.dumps({"seed": self.seed, "fault": str(self), "batch": lines}))
        return path


class Bench:
    """An accounting port, and what is known of it."""

    def __init__(self) -> None:
        self._now_ms = NOW_MS
        self._engine = Engine(clients(), reply_lifetime_ms=LIFETIME_MS)
        self._audit = Audit(self._engine, LIFETIME_MS)

    def round(self, seed: int, datagrams: int = ROUND) -> None:
        """Live through a round. Raises Failed at the first batch that comes to something else."""
        engine, audit = self._engine, self._audit
        mutator = Mutator(seed, SOURCES, now=NOW_MS // 1000)
        chance = random.Random(seed)
        waiting: list[Request] = []
        left = datagrams
        while left > 0:
            batch = [mutator.next() for _ in range(min(left, BATCH))]
            left -= len(batch)
            self._now_ms += chance.randrange(0, 3_000)
            try:
                self._serve(engine, audit, batch, waiting, chance)
            except Exception as error:
                raise Failed(seed, batch, error) from error
        for request in waiting:
            engine.abandon(request)
            audit.abandoned(request)
        self._now_ms += 2 * LIFETIME_MS
        audit.check_counts()

    def _serve(
        self,
        engine: Engine,
        audit: Audit,
        batch: list[Datagram],
        waiting: list[Request],
        chance: random.Random,
    ) -> None:
        """Take a batch; answer some requests of it and of those before, give others up."""
        now_ms = self._now_ms
        intake = engine.receive(audit.addresses(batch), now_ms)
        audit.check(batch, intake, now_ms)
        waiting += intake.requests
        kept: list[Request] = []
        for request in waiting:
            draw = chance.random()
            if draw < 0.6:
                reply, address = engine.answer(request, now_ms)
                assert address == request.address
                audit.answered(request, reply, now_ms)
            elif draw < 0.8:
                engine.abandon(request)
                audit.abandoned(request)
            else:
                kept.append(request)
        waiting[:] = kept

    @property
    def outcomes(self) -> Outcomes:
        """What came of all datagrams so far."""
        return self._audit.outcomes

    @property
    def reasons(self) -> Counter[str]:
        """How often what was refused, or ignored, for which reason."""
        return Counter(self._audit.reasons)


class Told(msgspec.Struct):
    """What a run of one process has shown."""

    outcomes: Outcomes
    reasons: dict[str, int]
    rounds: int
    seconds: float
    growth_octets: int
    """Of resident memory, from the tenth round to the last."""


def run(first: int, step: int, *, seconds: float, datagrams: int) -> Told:
    """Rounds of every so-manieth seed, until the time is over or there were so many datagrams.

    Raises Failed, or AssertionError when memory grows.
    """
    bench, process = Bench(), psutil.Process()
    began, rounds, warm = time.monotonic(), 0, 0
    while bench.outcomes.datagrams < datagrams and time.monotonic() - began < seconds:
        bench.round(first + rounds * step, min(ROUND, datagrams - bench.outcomes.datagrams))
        rounds += 1
        if rounds == 10:
            warm = process.memory_info().rss
    growth = process.memory_info().rss - warm if rounds > 10 else 0
    assert growth < GROWTH_OCTETS, f"memory grew by {growth} octets in {rounds - 10} rounds"
    return Told(bench.outcomes, dict(bench.reasons), rounds, time.monotonic() - began, growth)


def told(first: int, step: int, seconds: float, datagrams: int) -> Told | str:
    """What the rounds have shown, or what was found, with the command that replays it."""
    try:
        return run(first, step, seconds=seconds, datagrams=datagrams)
    except Failed as failed:
        path = failed.write(Path(tempfile.gettempdir()))
        replay = f"python -m tests.fuzz engine --seed {failed.seed} --datagrams {ROUND}"
        return f"{failed}\nthe batch is in {path}; replay:\n{replay} --processes 1"
