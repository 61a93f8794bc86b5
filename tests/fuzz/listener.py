"""Hostile datagrams on `ratewire serve`, while a NAS reports of its subscribers and is served well.

Stages, each with sessions of its own: to warm up; what has to be refused, which may change
nothing at all; and what has to be taken beside it, from NASes whose secret somebody knows.
"""

import json
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Generator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, suppress
from multiprocessing import get_context
from typing import Any

import msgspec
import psutil
from prometheus_client.parser import text_string_to_metric_families

from bench.load import USER
from billing.database import Connection
from billing.review.listings import ParkedEntry, parked
from ratewire.wiring import System
from tests.acceptance.books import Books, Epoch, Money
from tests.acceptance.installation import HOST, Installation, Serving, eventually
from tests.fuzz.barrage import NETWORK, SECRET, VICTIM, Order, Sent, fire
from tests.support.servers import server_directory

_LOAD_SECRET = "of-the-good-nas"
_PAID_IN = 100_000_000_000
_SOCKETS, _WINDOW = 2, 8

#: What each process may grow by while nothing but refused datagrams comes beside its work.
GROWTH_MB = 8
#: The store's, whose allocator takes minutes of writing to come to rest.
STORE_GROWTH_MB = 24
#: A minute: each listener tells once of each reason to refuse, so that no flood fills a disk.
MAX_LOG_LINES = 150
#: Tables to which only what is taken, and settled, adds rows.
_TABLES = (
    *("customer_billing_accounts", "subscribers", "accounting_sessions", "usage_records"),
    *("unrated_records", "anomalies", "parked_entries", "enforcement_events"),
)
#: What no log may have, whatever is sent.
_BREAKDOWNS = ("Traceback", "failed, abandoned", "answering a batch", "a step was refused")


class FuzzBooks(Books):
    """The books, and how much there is in them."""

    def picture(self) -> Counter[str]:
        """How much the store and the tables hold."""

        async def work(system: System, conn: Connection) -> Counter[str]:
            found = Counter[str]()
            for table in _TABLES:
                found[table] = await conn.fetchval(f"SELECT count(*) FROM {table}")
            books = await system.stream.books()
            found["accounts in the store"] = books.accounts
            found["open sessions"] = books.open_sessions
            found["live jobs"] = books.live_jobs
            found["boot marks"] = len(await system.stream.boots())
            return found

        return self._with_connection(work)

    def parked(self) -> list[ParkedEntry]:
        """What settlement could not book."""

        async def work(_: System, conn: Connection) -> list[ParkedEntry]:
            return await parked(conn)

        return self._with_connection(work)


class Stage(msgspec.Struct, frozen=True):
    """What one stage has shown."""

    sent: Sent
    hostile_per_second: int
    received: int
    """By the accounting port, the good NAS's datagrams among them."""
    dropped_by_kernel: int
    records: int
    """Of the good NAS, acknowledged and in the books."""
    p50_ms: float
    p99_ms: float
    p99_full_ms: float
    retransmitted: int


class Told(msgspec.Struct, frozen=True):
    """What a run has shown."""

    stages: list[Stage]
    memory_mb: dict[str, list[float]]
    """By process: resident memory after each stage, but of files and shared buffers."""
    reasons: dict[str, int]
    """How many were dropped, by reason."""
    events: dict[str, int]
    """What the listeners have made of the records that they took."""
    log_lines: list[int]
    """Of all processes, after each stage."""


class Siege:
    """A running system, and both who besiege it and who live in it."""

    def __init__(
        self, installation: Installation, books: FuzzBooks, sessions: int, stages: int
    ) -> None:
        self._installation = installation
        self._books = books
        self._sessions = sessions
        self._first = 0
        self._counts: Counter[str] = Counter()
        books.load_sample_plans()
        coa = installation.ports.coa
        for name, network, secret in (
            ("good", HOST, _LOAD_SECRET.encode()),
            ("hostile", f"{NETWORK}.0.0/16", SECRET),
        ):
            books.add_nas(name, network, secret=secret, vendor="generic", coa_port=coa)
        books.open_account(_PAID_IN, VICTIM)
        self._accounts = [books.open_account(_PAID_IN, USER.format(n)) for n in range(3 * sessions)]

    def stage(self, seed: int, seconds: float, rate: int, *, harmful: bool) -> Stage:
        """Let the good NAS report of new sessions, under hostile datagrams; then look at it all.

        AssertionError if a good record is not charged just once, or anything else has changed.
        """
        before = self._books.picture()
        # The good NAS opens, reports as fast as it is answered, then half as fast for half as long.
        order = Order(seed, self._installation.ports.acct, rate, seconds * 1.5, harmful)
        with ProcessPoolExecutor(1, get_context("spawn")) as pool:
            firing = pool.submit(fire, order)
            load = self._load(seconds)
            sent = firing.result()
        eventually(lambda: self._books.reconcile().unsettled_entries == 0)
        assert not (parked := self._books.parked()), parked
        self._books.settle()
        # Starts are not reports, and add nothing.
        reports = self._check_accounts(load)
        added = self._books.picture()
        added.subtract(before)
        if not harmful:
            expected = {
                "accounting_sessions": self._sessions,
                "open sessions": self._sessions,
                "usage_records": reports,
            }
            assert {name: n for name, n in added.items() if n} == expected
        for table in ("customer_billing_accounts", "subscribers", "parked_entries"):
            assert added[table] == 0, table
        counted, self._counts = self._counts, self._counted()
        after = Counter(self._counts)
        after.subtract(counted)
        dropped = after["dropped_by_kernel"]
        transmitted = sent.datagrams + load["acknowledged"]
        missing = transmitted - after["received"] - dropped
        # A few retransmissions may be among them, which the good NAS has sent beyond that.
        assert -load["full"]["retransmitted"] - load["half"]["retransmitted"] <= missing <= 0
        assert after["failed_batches"] == 0
        return Stage(
            sent,
            round(sent.datagrams / sent.seconds),
            after["received"],
            dropped,
            load["acknowledged"],
            load["half"]["p50_ms"],
            load["half"]["p99_ms"],
            load["full"]["p99_ms"],
            load["full"]["retransmitted"] + load["half"]["retransmitted"],
        )

    def told(self, prefix: str) -> dict[str, int]:
        """The counts so far whose names begin like that."""
        return {
            name.removeprefix(prefix): n
            for name, n in sorted(self._counts.items())
            if name.startswith(prefix) and n
        }

    def _load(self, seconds: float) -> dict[str, Any]:
        first, self._first = self._first, self._first + self._sessions
        arguments = {
            "port": self._installation.ports.acct,
            "secret": _LOAD_SECRET,
            "sessions": self._sessions,
            "first": first,
            "seconds": seconds,
            "sockets": _SOCKETS,
            "window": _WINDOW,
        }
        words = [word for name, value in arguments.items() for word in (f"--{name}", str(value))]
        done = subprocess.run(
            [sys.executable, "-m", "bench.load", *words],
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        )
        return json.loads(done.stdout)

    def _check_accounts(self, load: dict[str, Any]) -> int:
        """Hold this stage's accounts against what was acknowledged, to the octet and the micro.

        Return how many reports were charged.
        """
        accounts = self._accounts[self._first - self._sessions : self._first]
        epochs: list[Epoch] = []
        for account in accounts:
            [epoch] = self._books.epochs(account)
            octets = epoch.octets_in + epoch.octets_out
            # EUR 2.00 for 10^9 octets in steps of 1,000.
            charged = -(-octets // 1_000) * 2
            assert sum(epoch.charges) == charged, account
            assert epoch.closed is None
            money = self._books.balance(account)
            reserved = money.reserved
            balance = _PAID_IN - charged
            assert money == Money(balance, reserved, balance - reserved, 1), account
            assert self._books.ledger(account)[-1].balance_micros == balance, account
            epochs.append(epoch)
        for name in ("seconds", "octets_in", "octets_out"):
            assert sum(getattr(each, name) for each in epochs) == load[name], name
        return sum(len(epoch.charges) for epoch in epochs)

    def _counted(self) -> Counter[str]:
        """What became of the accounting port's datagrams, and of records, as /metrics tells."""
        time.sleep(1.5)  # the processes bring their counts every second
        with urllib.request.urlopen(self._installation.url("/metrics"), timeout=10) as response:
            text: str = response.read().decode()
        found = Counter[str]()
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                labels, value = sample.labels, int(sample.value)
                if sample.name == "ratewire_radius_datagrams_total" and labels["port"] == "acct":
                    found[labels["outcome"]] = value
                elif sample.name == "ratewire_events_total" and labels["role"] == "listener":
                    found[f"event {labels['event']}"] = value
        return found


#: The share of each stage in the time of all, and whether what comes has to be taken, too.
WARMING_UP, REFUSED, HARMFUL = (0.2, False), (0.5, False), (0.3, True)
STAGES = (WARMING_UP, REFUSED, HARMFUL)


def run(
    seed: int,
    seconds: float,
    rate: int,
    *,
    sessions: int = 40,
    stages: Sequence[tuple[float, bool]] = STAGES,
) -> Told:
    """All stages, which take so many seconds. AssertionError says what did not hold."""
    with _besieged(sessions, len(stages)) as (siege, serving):
        found: list[Stage] = []
        memory: list[dict[str, float]] = []
        lines: list[int] = []
        for number, (share, harmful) in enumerate(stages):
            part = max(1.0, seconds * share / 1.5)
            found.append(siege.stage(seed + number, part, rate, harmful=harmful))
            memory.append(_memory(serving))
            lines.append(len(serving.log().splitlines()))
            if not harmful:
                assert lines[-1] < MAX_LOG_LINES * (1 + seconds / 60), serving.log()[-10_000:]
        reasons, events = siege.told("dropped_"), siege.told("event ")
    told = {name: [each.get(name, 0.0) for each in memory] for name in memory[-1]}
    if stages == STAGES:
        for name, (warm, refused, _) in told.items():
            bound = STORE_GROWTH_MB if name == "valkey-server" else GROWTH_MB
            assert refused - warm < bound, f"{name} grew from {warm} to {refused} MB"
    return Told(found, told, reasons, events, lines)


@contextmanager
def _besieged(sessions: int, stages: int) -> Generator[tuple[Siege, Serving]]:
    with server_directory() as directory:
        installation = Installation(directory)
        books = FuzzBooks(installation.settings)
        with books:
            siege = Siege(installation, books, sessions, stages)
            serving = installation.serve()
            try:
                yield siege, serving
            finally:
                status = serving.stop()
            log = serving.log()
            assert status == 0, log
            assert not [sign for sign in _BREAKDOWNS if sign in log], log


def _memory(serving: Serving) -> dict[str, float]:
    """Resident memory but of files and shared buffers, in MB: by role, the servers' as sums."""
    found: Counter[str] = Counter()
    for process in serving.everything():
        with suppress(psutil.NoSuchProcess):
            memory = process.memory_info()
            found[_name(process)] += memory.rss - memory.shared
    return {name: round(octets / 2**20, 1) for name, octets in sorted(found.items())}


def _name(process: psutil.Process) -> str:
    words = process.cmdline()
    if "--role" in words:
        role = words[words.index("--role") + 1]
        return f"{role} {process.pid}" if role == "listener" else role
    return process.name().partition(":")[0]
