"""Sessions for the store: looked up when it does not know one, and restored when it lost all."""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import asyncpg
import msgspec

from balances.messages import SessionState
from billing.database import WHOLE_SECONDS, Connection
from billing.settlement.times import unix_ms, unix_seconds
from billing.statements import load
from rating.quantity import NOTHING, Counters
from rating.reservation import Pace
from rating.tally import Tally
from rating.usage import Kind, Meter, Phase, Report

_decode_tally: Final = msgspec.msgpack.Decoder(Tally).decode
_SQL = load(__package__, "queries.sql")

#: How often a session is taken to report until it shows: its pace is not kept here.
DEFAULT_INTERVAL_S: Final = 300

#: So long after its end a session is known in the store: what a NAS sends again is of then.
LATE_WINDOW: Final = timedelta(days=7)

#: A NAS whose clock is further off than this is not believed about when it reported.
_CLOCK_TOLERANCE_MS: Final = 3_600_000

_PHASES: Final = {
    None: Phase.OPEN,
    "stop": Phase.STOPPED,
    "lost": Phase.LOST,
    "restarted": Phase.LOST,
    "nas_down": Phase.NAS_DOWN,
    "plan_changed": Phase.STOPPED,
}


class ArchivedSession(msgspec.Struct, frozen=True):
    """A session epoch as it was settled.

    `state` is as its worker left it, with the counters as far as they are charged; but its pace is
    that of a session which has not reported twice, a suspected restart is forgotten, and of its
    reports only the last is known again.
    `closed_at` is None for an open session.
    """

    session: str
    nas: str
    uid: bytes
    account: str
    closed_at: datetime | None
    state: SessionState

    @property
    def open(self) -> bool:
        """Whether it was open when it was settled."""
        return self.closed_at is None


async def find(
    conn: Connection, session_keys: Sequence[str], *, interval_seconds: int = DEFAULT_INTERVAL_S
) -> dict[str, ArchivedSession]:
    """Return the newest epoch of each session that is known here, by session key.

    `interval_seconds` is how often they are expected to report. Raises what asyncpg raises.
    """
    if not session_keys:
        return {}
    rows = await conn.fetch(_SQL["newest_epochs"], list(session_keys))
    return {row["session_key"]: _archived(row, interval_seconds) for row in rows}


async def living_sessions(
    conn: Connection, *, chunk: int, interval_seconds: int = DEFAULT_INTERVAL_S
) -> AsyncIterator[list[ArchivedSession]]:
    """Yield all sessions that are open, or closed no longer ago than LATE_WINDOW.

    The newest epochs, `chunk` at a time; within the caller's transaction.
    """
    assert conn.is_in_transaction()
    found: list[ArchivedSession] = []
    rows = conn.cursor(_SQL["living_sessions"], LATE_WINDOW, prefetch=chunk, timeout=WHOLE_SECONDS)
    async for row in rows:
        found.append(_archived(row, interval_seconds))
        if len(found) == chunk:
            yield found
            found = []
    if found:
        yield found


def _archived(row: asyncpg.Record, interval_seconds: int) -> ArchivedSession:
    return ArchivedSession(
        session=row["session_key"],
        nas=row["nas"],
        uid=row["session_uid"].bytes,
        account=row["account_id"],
        closed_at=row["closed_at"],
        state=SessionState(
            username=row["username"],
            plan=row["plan"],
            plan_version=row["plan_version"],
            currency=row["currency"],
            meter=_meter(row),
            pace=Pace(interval_seconds),
            reported_ms=_reported_ms(row),
            identity=msgspec.Raw(row["identity"]),
            tally=None if row["tally"] is None else _decode_tally(row["tally"]),
        ),
    )


def _meter(row: asyncpg.Record) -> Meter:
    base = Counters(row["base_seconds"], int(row["base_octets_in"]), int(row["base_octets_out"]))
    used, total = figures(row)
    marks = base + used
    started = unix_seconds(row["started_at"])
    last_event = _last_event(row)
    return Meter(
        epoch=row["epoch"],
        phase=_PHASES[row["close_reason"]],
        started=started,
        # The start that its last report told, as far as that can be seen from the counters.
        begun=max(started, last_event - marks.seconds),
        last_event=last_event,
        marks=marks,
        base=base,
        total_micros=total,
        prints=_last_report(row["close_reason"], marks, last_event).print,
    )


def _last_report(close_reason: str | None, marks: Counters, last_event: int) -> Report:
    """The session's last report, as far as it can be told, so that it is known when sent again."""
    kind = Kind.STOP if close_reason == "stop" else Kind.INTERIM
    return Report(kind, last_event, marks.seconds, marks.octets_in, marks.octets_out)


def figures(row: asyncpg.Record) -> tuple[Counters, int]:
    """Return what a session has used and was charged: its final figures, or its newest record's."""
    if row["closed_at"] is not None:
        used = Counters(row["seconds"], int(row["octets_in"]), int(row["octets_out"]))
        return used, row["charged_micros"]
    if row["total_micros"] is None:
        return NOTHING, 0
    used = Counters(row["used_seconds"], row["used_octets_in"], row["used_octets_out"])
    return used, row["total_micros"]


def _last_event(row: asyncpg.Record) -> int:
    """When the session last reported, on its NAS's clock (Unix seconds)."""
    newest = row["last_event_at"] if row["closed_at"] is not None else row["event_at"]
    return unix_seconds(row["started_at"] if newest is None else newest)


def _reported_ms(row: asyncpg.Record) -> int:
    """When the session last reported, by our clocks, as well as it can be told (Unix ms).

    It is settled some time after it reported, so its NAS is believed if its clock is about right;
    never a time after the settlement. Too early only means a deadline that is checked earlier.
    """
    ours: Any = row["closed_at"] or row["settled_at"] or row["opened_at"]
    ours_ms, theirs_ms = unix_ms(ours), _last_event(row) * 1000
    return theirs_ms if 0 <= ours_ms - theirs_ms <= _CLOCK_TOLERANCE_MS else ours_ms
