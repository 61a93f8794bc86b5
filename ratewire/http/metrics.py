"""What is measured, in Prometheus's text format: the counts of all processes, and the books."""

import os
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from balances.errors import StoreError
from balances.health import Memory, memory
from balances.jobs import Job
from balances.messages import Books
from billing.database import unavailable, within
from billing.settlement.consumer import Lag
from ratewire.wiring import System, now_ms

#: Live jobs that are looked at to count them by state.
JOBS_COUNTED = 10_000

#: The database is given so long to say where settlement stands (seconds).
PATIENCE_S = 2.0


class _Figures(Collector):
    """Gauges read from the store at the time of the scrape; absent while it is away."""

    def __init__(
        self, books: Books | None, room: Memory | None, jobs: list[Job], lag: Lag | None
    ) -> None:
        self._books = books
        self._room = room
        self._jobs = jobs
        self._lag = lag

    def collect(self) -> Iterator[Metric]:
        """Yield what is known."""
        yield _gauge("ratewire_store_up", "Whether the store answers", int(self._books is not None))
        if self._room is not None:
            yield _gauge("ratewire_store_used_octets", "What the store uses", self._room.used)
            yield _gauge(
                "ratewire_store_bound_octets", "What it may use; 0: no bound", self._room.bound
            )
        if self._lag is not None:
            yield _gauge(
                "ratewire_settlement_lag_entries",
                "Committed batches that wait for settlement",
                self._lag.entries,
            )
            yield _gauge(
                "ratewire_settlement_lag_seconds",
                "Age of the oldest of them",
                self._lag.oldest_ms / 1000,
            )
        if self._books is not None:
            yield from self._of_books(self._books)

    def _of_books(self, books: Books) -> Iterator[Metric]:
        yield _gauge("ratewire_open_sessions", "Sessions that are open", books.open_sessions)
        yield _gauge("ratewire_accounts", "Accounts in the store", books.accounts)
        yield _gauge(
            "ratewire_fenced", "Whether the books are fenced", int(books.fence is not None)
        )
        states = GaugeMetricFamily(
            "ratewire_enforcement_jobs", "Live enforcement jobs by state", labels=["state"]
        )
        counted = [job.state for job in self._jobs]
        for state in ("scheduled", "sending", "acknowledged", "gone", "refused", "unanswered"):
            states.add_metric([state], counted.count(state))
        yield states
        for name, help_text in (
            ("balance", "Sum of all balances"),
            ("reserved", "Sum of all reservations"),
            ("limit", "Sum of all credit limits less minimum balances"),
        ):
            family = GaugeMetricFamily(
                f"ratewire_{name}_micros", f"{help_text}, in micros", labels=["currency"]
            )
            for currency, totals in books.totals.items():
                family.add_metric([currency], getattr(totals, name))
            yield family
        available = GaugeMetricFamily(
            "ratewire_available_micros",
            "Sum of what may still be granted, in micros, without unlimited credit",
            labels=["currency"],
        )
        for currency, totals in books.totals.items():
            available.add_metric([currency], totals.balance - totals.reserved + totals.limit)
        yield available


async def _lag(system: System) -> Lag:
    return await (await system.settler()).lag(now_ms())


def _gauge(name: str, help_text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, help_text, value=value)


async def scrape(system: System) -> bytes:
    """Return all metrics as text."""
    books: Books | None = None
    room: Memory | None = None
    jobs: list[Job] = []
    lag: Lag | None = None
    try:
        books = await system.stream.books()
        room = await memory(system.connection)
        jobs = await system.housekeeping.live_jobs(JOBS_COUNTED)
        lag = await within(PATIENCE_S, _lag(system))
    except StoreError:
        pass
    except Exception as error:
        if not unavailable(error):
            raise
    registry = CollectorRegistry()
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        MultiProcessCollector(registry)
    registry.register(_Figures(books, room, jobs, lag))
    return generate_latest(registry)
