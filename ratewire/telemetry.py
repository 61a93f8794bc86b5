"""Metrics of one process, in the files of prometheus_client's multi-process mode.

The HTTP role reads the files of all processes. So a process that was killed leaves its counts, and
the hot path pays a few increments a batch.
"""

import os
from pathlib import Path

import structlog
from prometheus_client import Counter, Gauge, Histogram, values

from ratewire.metrics_files import reserve

_log = structlog.get_logger(__name__)


def _make_room() -> None:
    """Make the files of this process; without room for them nobody is told what it counts."""
    directory = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
    if directory is None:
        return
    try:
        reserve(Path(directory), os.getpid())
    except OSError as error:
        _log.error("metrics are not kept", directory=directory, error=str(error))
        values.ValueClass = values.MutexValue


_make_room()

_STAGE_BUCKETS = (
    0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0,
)  # fmt: skip

_EVENTS = Counter(
    "ratewire_events",
    "What happened, by role and kind: records by finding, retries, sweeps, disconnects",
    ["role", "event"],
)
_STAGES = Histogram(
    "ratewire_stage_seconds",
    "How long a batch spent in a stage",
    ["role", "stage"],
    buckets=_STAGE_BUCKETS,
)
_DATAGRAMS = Counter(
    "ratewire_radius_datagrams",
    "RADIUS datagrams by outcome: answered, duplicate, or the reason why they were dropped",
    ["port", "outcome"],
)


_HOLDING = Gauge(
    "ratewire_journal_holding",
    "Listeners whose records go to the local journal now",
    multiprocess_mode="livesum",
)
_JOURNAL_RECORDS = Gauge(
    "ratewire_journal_records",
    "Records that wait in the local journal",
    multiprocess_mode="livesum",
)
_JOURNAL_OCTETS = Gauge(
    "ratewire_journal_octets",
    "Size of the local journal in octets, with what was set aside",
    multiprocess_mode="livesum",
)
_JOURNAL_OLDEST = Gauge(
    "ratewire_journal_oldest_seconds",
    "Age of the oldest record that waits",
    multiprocess_mode="livemax",
)
_JOURNAL_ASIDE = Gauge(
    "ratewire_journal_aside_records",
    "Records of the journal that the books did not take",
    multiprocess_mode="livesum",
)


class Telemetry:
    """ratewire.observer.Observer, for Prometheus."""

    def __init__(self, role: str) -> None:
        self._role = role
        self._events: dict[str, Counter] = {}
        self._totals: dict[str, int] = {}
        self._stages: dict[str, Histogram] = {}
        self._datagrams: dict[tuple[str, str], tuple[Counter, int]] = {}

    def count(self, what: str, by: int = 1) -> None:
        """Note that something happened so many times."""
        if by:
            counter = self._events.get(what)
            if counter is None:
                counter = self._events[what] = _EVENTS.labels(self._role, what)
            counter.inc(by)

    def stage(self, name: str, seconds: float) -> None:
        """Note how long a batch spent in a stage."""
        histogram = self._stages.get(name)
        if histogram is None:
            histogram = self._stages[name] = _STAGES.labels(self._role, name)
        histogram.observe(seconds)

    def journal(
        self, *, holding: bool, records: int, octets: int, oldest_seconds: float, aside: int
    ) -> None:
        """Say how the local journal of this process is now."""
        _HOLDING.set(holding)
        _JOURNAL_RECORDS.set(records)
        _JOURNAL_OCTETS.set(octets)
        _JOURNAL_OLDEST.set(oldest_seconds)
        _JOURNAL_ASIDE.set(aside)

    def total(self, what: str, total: int) -> None:
        """Bring the count of an event up to `total`, which only grows in this process."""
        self.count(what, total - self._totals.get(what, 0))
        self._totals[what] = total

    def datagrams(self, port: str, outcome: str, total: int) -> None:
        """Bring the count of an outcome up to `total`, which only grows in this process."""
        counter, before = self._datagrams.get((port, outcome), (None, 0))
        if counter is None:
            counter = _DATAGRAMS.labels(port, outcome)
        if total > before:
            counter.inc(total - before)
        self._datagrams[port, outcome] = (counter, total)
