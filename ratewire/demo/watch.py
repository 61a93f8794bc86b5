"""What the demo shows, gathered as an operator could: from the store, the ledger and /metrics."""

import asyncio
from collections import deque
from collections.abc import Iterable

import aiohttp
import msgspec
from prometheus_client.parser import text_string_to_metric_families

from balances.errors import StoreError
from balances.messages import AccountAudit
from billing.database import unavailable
from billing.review.listings import EnforcementEvent, enforcement
from ratewire.demo.payer import Paid
from ratewire.demo.stock import CURRENCY, Customer
from ratewire.views.sessions import SessionView, session_views
from ratewire.wiring import System, now_ms
from rating.money import format_micros

#: Over how many looks rates are told.
_SMOOTHED = 5

#: How many events are read at a look, and how many a picture has. No more than are read can be new.
_EVENTS_READ = 200
_EVENTS_SHOWN = 100

#: How many sessions are known by their user's name, for events that come after their end.
_USERS_KNOWN = 1000


class Line(msgspec.Struct, frozen=True):
    """One session of the picture. Money is micros; `burn` is micros a minute, None if not known."""

    view: SessionView
    available: int
    burn: int | None

    @property
    def lasts_s(self) -> int | None:
        """How long what it holds and what is available last at this burn rate; None: not known."""
        if not self.burn:
            return None
        return max(0, self.available + self.view.reserved_micros) * 60 // self.burn


class Happening(msgspec.Struct, frozen=True):
    """Something that happened: when (Unix ms), and what to say of it."""

    at_ms: int
    text: str


class Picture(msgspec.Struct, frozen=True):
    """The running system at one moment. `trouble` says what could not be looked at."""

    elapsed_s: float
    lines: list[Line]
    happenings: list[Happening]
    records: int
    records_per_second: float
    commit_ms: float | None
    lag_s: float
    balance: int
    reserved: int
    cuts: int
    payments: int
    trouble: str = ""


_Key = tuple[str, str, int]
"""What tells one event of a job from the others: its session, what it is, and when (Unix ms)."""


class _Reading(msgspec.Struct, frozen=True):
    """What /metrics said at one moment."""

    at_ms: int
    answered: int = 0
    commit_seconds: float = 0.0
    commits: int = 0
    lag_s: float = 0.0


class Watch:
    """Looks at the system every now and then, and remembers enough to tell rates."""

    def __init__(self, system: System, everybody: list[Customer], metrics_url: str) -> None:
        self._system = system
        self._accounts = [customer.account for customer in everybody]
        self._metrics_url = metrics_url
        self._began_ms = now_ms()
        self._readings: deque[_Reading] = deque(maxlen=_SMOOTHED)
        self._charged: dict[str, deque[tuple[int, int]]] = {}
        self._users: dict[str, str] = {}
        self._events: deque[tuple[_Key, Happening]] = deque(maxlen=_EVENTS_READ)
        self._cuts = 0
        self._last = Picture(0.0, [], [], 0, 0.0, None, 0.0, 0, 0, 0, 0)

    async def look(
        self, client: aiohttp.ClientSession, paid: Iterable[Paid], payments: int
    ) -> Picture:
        """Return the picture of now; the last one, with the trouble, if a server is away.

        `paid` are the last payments of `payments` in all.
        """
        elapsed = (now_ms() - self._began_ms) / 1000
        try:
            self._last = await self._look(client, list(paid), payments, elapsed)
        except (StoreError, aiohttp.ClientError, TimeoutError) as error:
            trouble = str(error) or type(error).__name__
            return msgspec.structs.replace(self._last, elapsed_s=elapsed, trouble=trouble)
        except Exception as error:
            if not unavailable(error):
                raise
            return msgspec.structs.replace(self._last, elapsed_s=elapsed, trouble=str(error))
        return self._last

    async def _look(
        self, client: aiohttp.ClientSession, paid: list[Paid], payments: int, elapsed: float
    ) -> Picture:
        views = await session_views(self._system, user=None, limit=1000)
        names = sorted({*self._accounts, *(view.account for view in views)})
        found = await self._system.stream.inspect(names)
        audits = {name: audit for name, audit in zip(names, found, strict=True) if audit}
        self._forget({view.session for view in views})
        await self._read_metrics(client)
        await self._read_events()
        first, last = self._readings[0], self._readings[-1]
        seconds = (last.at_ms - first.at_ms) / 1000
        commits = last.commits - first.commits
        return Picture(
            elapsed_s=elapsed,
            lines=[self._line(view, audits) for view in views],
            happenings=self._happenings(paid),
            records=last.answered,
            records_per_second=(last.answered - first.answered) / seconds if seconds else 0.0,
            commit_ms=(last.commit_seconds - first.commit_seconds) / commits * 1000
            if commits
            else None,
            lag_s=last.lag_s,
            balance=sum(audit.account.balance for audit in audits.values()),
            reserved=sum(audit.account.reserved for audit in audits.values()),
            cuts=self._cuts,
            payments=payments,
        )

    def _forget(self, open_sessions: set[str]) -> None:
        for session in self._charged.keys() - open_sessions:
            del self._charged[session]
        closed = [session for session in self._users if session not in open_sessions]
        for session in closed[: max(0, len(self._users) - _USERS_KNOWN)]:
            del self._users[session]

    def _line(self, view: SessionView, audits: dict[str, AccountAudit]) -> Line:
        self._users[view.session] = view.user
        seen = self._charged.setdefault(view.session, deque(maxlen=4))
        if not seen or seen[-1][0] != view.last_report:
            seen.append((view.last_report, view.charged_micros))
        (began, before), (ended, after) = seen[0], seen[-1]
        burn = (after - before) * 60 // (ended - began) if ended > began else None
        audit = audits.get(view.account)
        available = (audit.account.available or 0) if audit else 0
        return Line(view, available, burn)

    async def _read_metrics(self, client: aiohttp.ClientSession) -> None:
        async with client.get(self._metrics_url, timeout=aiohttp.ClientTimeout(2)) as answer:
            answer.raise_for_status()
            text = await answer.text()
        self._readings.append(await asyncio.to_thread(_reading_of, text))

    async def _read_events(self) -> None:
        async with (await self._system.pool()).acquire() as conn:
            events = await enforcement(conn, limit=_EVENTS_READ)
        known = {key for key, _ in self._events}
        for event in reversed(events):
            at_ms = int(event.at.timestamp() * 1000)
            key = (event.session_uid.hex, event.event, at_ms)
            if at_ms < self._began_ms or key in known:
                continue
            self._cuts += event.event == "proven"
            self._events.append((key, Happening(at_ms, self._told(event))))

    def _told(self, event: EnforcementEvent) -> str:
        user = self._users.get(event.session_uid.hex, event.account)
        match event.event:
            case "acknowledged":
                return f"{user}: the NAS acknowledged the Disconnect-Request ({event.cause})"
            case "proven":
                return f"{user}: cut, proven by its Stop ({event.cause})"
            case "cancelled":
                return f"{user}: cut cancelled, credit is back"
            case _:
                return f"{user}: Disconnect {event.event} {event.result}".rstrip()

    def _happenings(self, paid: list[Paid]) -> list[Happening]:
        payments = [
            Happening(
                each.at_ms,
                f"{each.account}: paid {format_micros(each.micros, CURRENCY)} {CURRENCY}",
            )
            for each in paid
        ]
        events = [event for _, event in self._events]
        return sorted([*events, *payments], key=lambda each: each.at_ms)[-_EVENTS_SHOWN:]


def _reading_of(text: str) -> _Reading:
    """Take from Prometheus's text what the picture needs."""
    wanted = {"answered": 0.0, "sum": 0.0, "count": 0.0, "lag": 0.0}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = sample.labels
            match sample.name:
                case "ratewire_radius_datagrams_total" if labels.get("port") == "acct" and (
                    labels.get("outcome") == "answered"
                ):
                    wanted["answered"] += sample.value
                case "ratewire_stage_seconds_sum" if labels.get("stage") == "commit":
                    wanted["sum"] += sample.value
                case "ratewire_stage_seconds_count" if labels.get("stage") == "commit":
                    wanted["count"] += sample.value
                case "ratewire_settlement_lag_seconds":
                    wanted["lag"] = sample.value
                case _:
                    pass
    return _Reading(
        now_ms(), int(wanted["answered"]), wanted["sum"], int(wanted["count"]), wanted["lag"]
    )
