"""A model of Postgres, as far as money goes through it: settled books, archive, outbox.

What a batch of stream entries becomes is said by the real rules (billing.settlement.rows), and when
it is booked by the real Settler; only the statements are modelled: the position moves by compare
and set in the same moment as the books.
"""

from collections import defaultdict
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from random import Random
from types import TracebackType
from typing import Any
from unittest.mock import patch

import msgspec

from balances.entries import JOB_FIELD, Closed, Opened, Reopened, Used, decode
from balances.messages import (
    Account,
    AnyMovement,
    OpenAccount,
    Position,
    Post,
    PutSubscriber,
    RestoredSession,
    SessionState,
    SetLimits,
    SetStatus,
    StoredSession,
    StreamEntry,
    Subscriber,
    encode_state,
)
from billing.settlement import consumer
from billing.settlement.booking import Booked
from billing.settlement.position import FIRST_GENERATION, Settled
from billing.settlement.rows import items_of, settle
from billing.settlement.times import moment_of_ms
from ratewire.pipeline.intake import ArchiveUnavailable
from ratewire.pipeline.progress import stored_from_archive
from rating.quantity import NOTHING, Counters
from rating.reservation import Pace
from rating.usage import Kind, Meter, Phase, Report
from tests.simulation.clockwork import Clockwork, Wait

#: How often sessions are expected to report whose pace is not known any more (seconds).
INTERVAL_S = 60

_PHASES = {
    "stop": Phase.STOPPED,
    "lost": Phase.LOST,
    "restarted": Phase.LOST,
    "nas_down": Phase.NAS_DOWN,
}


class Row(msgspec.Struct):
    """A session epoch as it is settled."""

    opened: Opened
    used: Counters = NOTHING
    total: int = 0
    last_event: int = 0
    phase: Phase = Phase.OPEN


class Postgres:
    """What has been committed there. Nothing of it is ever lost."""

    def __init__(self) -> None:
        self.settled: Position | None = None
        self.sessions: dict[bytes, Row] = {}
        self.newest: dict[str, Row] = {}
        self.charged: dict[str, int] = defaultdict(int)
        self.posted: dict[str, list[AnyMovement]] = defaultdict(list)
        self.relayed: dict[str, int] = defaultdict(int)
        self.away = False

    # The office

    def post(self, account: str, make: Callable[[int], AnyMovement]) -> None:
        """Post a movement under its account's next sequence."""
        movements = self.posted[account]
        movements.append(make(len(movements) + 1))

    def waiting(self) -> list[tuple[str, list[AnyMovement]]]:
        """Return the movements on the road, in their accounts' order."""
        return [
            (account, movements[self.relayed[account] :])
            for account, movements in self.posted.items()
            if len(movements) > self.relayed[account]
        ]

    # Settlement

    def book(self, position: Position, entries: Sequence[StreamEntry], now_ms: int) -> int | None:
        """Book entries and move the position, if it is where the settler believes it to be."""
        if self.settled != position:
            return None
        items = items_of(entries)
        settlement = settle(items, moment_of_ms(now_ms))
        assert not settlement.refusals, settlement.refusals
        for (account, currency), micros in settlement.charges.items():
            assert currency == "EUR"
            self.charged[account] += micros
        for item in items:
            if item.field != JOB_FIELD:
                self._keep(decode(item.value))
        self.settled = entries[-1].position
        return len(items)

    def _keep(self, entry: Any) -> None:
        match entry:
            case Opened():
                assert entry.uid not in self.sessions
                row = Row(entry, last_event=entry.started)
                self.sessions[entry.uid] = row
                self.newest[entry.session] = row
            case Used():
                row = self.sessions[entry.uid]
                row.used, row.total, row.last_event = (
                    entry.used,
                    entry.total_micros,
                    entry.event_time,
                )
            case Closed():
                row = self.sessions[entry.uid]
                row.used, row.total, row.last_event = (
                    entry.used,
                    entry.total_micros,
                    entry.event_time,
                )
                row.phase = _PHASES[entry.reason]
            case Reopened():
                self.sessions[entry.uid].phase = Phase.OPEN
            case _:
                pass

    # Archive, and rebuilding

    def state_of(self, row: Row) -> SessionState:
        """Return a settled session as the store would have it: see billing.sessions.archive."""
        opened = row.opened
        marks = opened.base + row.used
        kind = Kind.STOP if row.phase is Phase.STOPPED else Kind.INTERIM
        last = Report(kind, row.last_event, marks.seconds, marks.octets_in, marks.octets_out)
        meter = Meter(
            epoch=opened.epoch,
            phase=row.phase,
            started=opened.started,
            begun=max(opened.started, row.last_event - marks.seconds),
            last_event=row.last_event,
            marks=marks,
            base=opened.base,
            total_micros=row.total,
            prints=last.print,
        )
        return SessionState(
            username=opened.username,
            plan=opened.plan,
            plan_version=opened.plan_version,
            currency=opened.currency,
            meter=meter,
            pace=Pace(INTERVAL_S),
            reported_ms=row.last_event * 1000,
            identity=opened.identity,
        )

    def accounts(self, generation: int) -> list[Account]:
        """Return all accounts by the ledger, with all that was ever posted for them."""
        found: list[Account] = []
        for name, movements in self.posted.items():
            balance, limit, minimum = -self.charged[name], None, 0
            suspended = closed = False
            for movement in movements:
                match movement:
                    case Post():
                        balance += movement.amount
                    case OpenAccount() | SetLimits():
                        limit, minimum = movement.credit_limit, movement.minimum
                    case SetStatus():
                        suspended, closed = movement.suspended, movement.closed
                    case _:
                        pass
            version = (generation << 32) + 1
            found.append(
                Account(
                    name, "EUR", balance, 0, limit, minimum, version, 0, len(movements), suspended,
                    closed,
                )
            )  # fmt: skip
        return found

    def subscribers(self) -> list[tuple[str, Subscriber]]:
        """Return who user names belong to."""
        return [
            (each.username, Subscriber(each.account, each.plan))
            for movements in self.posted.values()
            for each in movements
            if isinstance(each, PutSubscriber)
        ]

    def living_sessions(self) -> list[RestoredSession]:
        """Return the newest epochs, open or closed of late, as far as they are settled."""
        return [
            RestoredSession(
                session=row.opened.session,
                nas=row.opened.nas,
                account=row.opened.account,
                uid=row.opened.uid,
                open=row.phase is Phase.OPEN,
                quiet=3 * INTERVAL_S,
                state=encode_state(self.state_of(row)),
            )
            for row in self.newest.values()
        ]


class Connection:
    """One process's way to Postgres: a pool of itself, and the archive of the intake."""

    def __init__(self, postgres: Postgres, clockwork: Clockwork, random: Random) -> None:
        self.postgres = postgres
        self._clockwork = clockwork
        self._random = random

    def acquire(self) -> "Connection":
        """Return itself, to be entered."""
        return self

    async def __aenter__(self) -> "Connection":
        await self._travel()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        return None

    async def _travel(self) -> None:
        await Wait(self._clockwork.now_ms + self._random.randrange(4))
        if self.postgres.away or self._random.random() < 0.002:
            raise ConnectionResetError("simulated: Postgres is away")

    async def position(self) -> Position:
        """Return where settlement stands."""
        await self._travel()
        if self.postgres.settled is None:
            self.postgres.settled = Position(FIRST_GENERATION, 0)
        return self.postgres.settled

    async def book(self, position: Position, entries: Sequence[StreamEntry]) -> int | None:
        """Book a batch; the answer may be lost when it is done."""
        await self._travel()
        booked = self.postgres.book(position, entries, self._clockwork.now_ms)
        await self._travel()
        return booked

    async def find(self, keys: Sequence[str]) -> Mapping[str, StoredSession]:
        """Return the newest epoch of each session that is known."""
        try:
            await self._travel()
        except ConnectionResetError as error:
            raise ArchiveUnavailable(str(error)) from error
        rows = self.postgres.newest
        return {
            key: stored_from_archive(
                rows[key].opened.uid,
                rows[key].opened.account,
                self.postgres.state_of(rows[key]),
                is_open=rows[key].phase is Phase.OPEN,
            )
            for key in keys
            if key in rows
        }


async def _book(
    conn: Connection, partition: int, position: Position, entries: Sequence[StreamEntry]
) -> Booked | None:
    items = await conn.book(position, entries)
    return None if items is None else Booked(items, 0)


async def _begin(conn: Connection, books: object, partition: int) -> Settled:
    return Settled(await conn.position(), moment_of_ms(0))


@contextmanager
def settling_here() -> Generator[None]:
    """Let the Settler book into the model while this lasts: its statements are put in place."""
    with patch.object(consumer, "book", _book), patch.object(consumer.positions, "begin", _begin):
        yield
