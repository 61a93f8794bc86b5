"""What the items of the settlement stream become in Postgres. Pure.

An item is one entry of one session, as balances.entries packs it. Whatever one of them contains,
the others are not hindered: what cannot be booked comes back as a refusal, to be parked.
"""

import struct
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec

from balances import entries
from balances.entries import (
    JOB_FIELD,
    Anomaly,
    Closed,
    Freed,
    JobEvent,
    Noticed,
    Opened,
    Pooled,
    Reopened,
    Unrated,
    Used,
)
from balances.messages import Position, StreamEntry
from billing.settlement.times import (
    moment_of_ms,
    moment_of_seconds,
    postgres_micros_of_seconds,
)
from billing.settlement.usage_rows import UsageRows
from rating.quantity import Counters

#: An account and the currency it was charged in.
AccountKey = tuple[str, str]

_encode_lines: Final = msgspec.json.Encoder().encode
_encode_tally: Final = msgspec.msgpack.Encoder().encode
_UNREADABLE: Final = (ValueError, OverflowError, struct.error)


class Item(msgspec.Struct, frozen=True, gc=False):
    """One item of the stream: the entry it stands in, its place there, its field and its octets."""

    position: Position
    index: int
    field: bytes
    value: bytes


class Refusal(msgspec.Struct, frozen=True):
    """An item that is not booked, and why."""

    item: Item
    error: str


class SessionEnd(msgspec.Struct, frozen=True):
    """How a session stands after the batch: closed with final figures, or open again.

    `item` is what said so, to be parked if there is no such session.
    """

    entry: Closed | Reopened
    item: Item
    closed_at: datetime | None
    last_event_at: datetime | None


class SessionOpening(msgspec.Struct, frozen=True):
    """A session epoch that begins in the batch."""

    entry: Opened
    started_at: datetime
    opened_at: datetime


class AnomalyNote(msgspec.Struct):
    """An anomaly of a session: how often in the batch, when, and the last record's counters."""

    last: Anomaly
    first_at: datetime
    last_at: datetime
    event_at: datetime
    records: int = 1


class UnratedNote(msgspec.Struct):
    """A session that cannot be rated: how often it reported in the batch, and its newest record."""

    newest: Unrated
    first_at: datetime
    last_at: datetime
    event_at: datetime
    records: int = 1


class JobNote(msgspec.Struct, frozen=True):
    """An event of an enforcement job."""

    event: JobEvent
    uid: UUID
    at: datetime
    due_at: datetime


class Settlement:
    """What a batch of items becomes. `charges` are micros by account, without those of 0."""

    def __init__(self, settled_at: datetime) -> None:
        self.settled_at = settled_at
        self.usage = UsageRows(settled_at)
        self.charges: dict[AccountKey, int] = {}
        self.opened: dict[UUID, SessionOpening] = {}
        self.ends: dict[UUID, SessionEnd] = {}
        self.anomalies: dict[tuple[UUID, str], AnomalyNote] = {}
        self.unrated: dict[tuple[str, str, str], UnratedNote] = {}
        self.jobs: list[JobNote] = []
        self.bases: dict[UUID, Counters] = {}
        self.pools: dict[str, bytes] = {}
        self.notices: list[tuple[object, ...]] = []
        self.lines: dict[tuple[UUID, int], str] = {}
        self.tallies: dict[UUID, bytes] = {}
        self.refusals: list[Refusal] = []


def items_of(stream: Iterable[StreamEntry]) -> list[Item]:
    """Return the items of stream entries, in order."""
    return [
        Item(entry.position, index, field, value)
        for entry in stream
        for index, (field, value) in enumerate(entry.items)
    ]


def settle(
    items: Sequence[Item],
    settled_at: datetime,
    strangers: frozenset[AccountKey] = frozenset(),
) -> Settlement:
    """Return what the items become when they are settled at `settled_at`.

    `strangers` are accounts that Postgres does not know: their charges are refused.
    """
    settlement = Settlement(settled_at)
    decode = entries.decode
    use = _Use(settlement, strangers).add
    for item in items:
        try:
            if item.field == JOB_FIELD:
                _add_job(settlement, entries.decode_job_event(item.value))
                continue
            entry = decode(item.value)
            if type(entry) is Used:
                use(item, entry)
            else:
                _add(settlement, item, entry)
        except _UNREADABLE as error:
            settlement.refusals.append(Refusal(item, f"{type(error).__name__}: {error}"))
    return settlement


class _Use:
    """Adds usage to a settlement: most of its work, so its names are looked up once."""

    def __init__(self, settlement: Settlement, strangers: frozenset[AccountKey]) -> None:
        self._rows = settlement.usage
        self._charges = settlement.charges
        self._settlement = settlement
        self._strangers = strangers

    def add(self, item: Item, used: Used) -> None:
        """Add a usage record and its charge; raises one of _UNREADABLE, having added nothing."""
        charge = used.charge_micros
        key = (used.account, used.currency)
        if charge < 0:
            raise ValueError(f"a charge of {charge} micros: allowed is 0 or more")
        if len(used.uid) != 16:
            raise ValueError(f"a session uid of {len(used.uid)} octets: it has 16")
        sequence = int(item.field)
        if sequence <= 0:
            raise ValueError("usage without a charge sequence: it belongs to no account")
        if charge and key in self._strangers:
            raise ValueError(f"account {used.account!r} is not known with currency {used.currency}")
        self._rows.add(sequence, used, postgres_micros_of_seconds(used.event_time))
        if used.tally is not None:
            uid = UUID(bytes=used.uid)
            self._settlement.tallies[uid] = _encode_tally(used.tally)
            self._settlement.lines[uid, sequence] = _encode_lines(used.lines).decode()
        if charge:
            self._charges[key] = self._charges.get(key, 0) + charge


def _add(
    settlement: Settlement,
    item: Item,
    entry: Noticed | Pooled | Opened | Closed | Reopened | Anomaly | Unrated | Freed,
) -> None:
    match entry:
        case Pooled():
            settlement.pools[entry.account] = entry.pool
        case Freed():
            settlement.bases[UUID(bytes=entry.uid)] = entry.base
        case Noticed():
            _add_notices(settlement, entry)
        case Unrated():
            _add_unrated(settlement, entry)
        case Anomaly():
            _add_anomaly(settlement, entry)
        case Opened():
            uid = UUID(bytes=entry.uid)
            if uid in settlement.opened:
                raise ValueError(f"session {uid} is opened twice")
            settlement.opened[uid] = SessionOpening(
                entry, moment_of_seconds(entry.started), moment_of_ms(entry.at_ms)
            )
        case Closed():
            settlement.ends[UUID(bytes=entry.uid)] = SessionEnd(
                entry, item, moment_of_ms(entry.at_ms), moment_of_seconds(entry.event_time)
            )
        case Reopened():
            settlement.ends[UUID(bytes=entry.uid)] = SessionEnd(entry, item, None, None)


def _add_notices(settlement: Settlement, entry: Noticed) -> None:
    at = moment_of_ms(entry.at_ms)
    settlement.notices += [
        (
            entry.account,
            entry.plan,
            entry.username,
            crossing.allowance,
            crossing.owner,
            moment_of_seconds(crossing.since),
            crossing.unit,
            crossing.amount,
            crossing.at,
            crossing.left,
            at,
        )
        for crossing in entry.crossings
    ]


def _add_anomaly(settlement: Settlement, entry: Anomaly) -> None:
    key = (UUID(bytes=entry.uid), entry.code)
    at, event_at = moment_of_ms(entry.at_ms), moment_of_seconds(entry.event_time)
    note = settlement.anomalies.get(key)
    if note is None:
        settlement.anomalies[key] = AnomalyNote(entry, at, at, event_at)
        return
    note.last, note.event_at = entry, event_at
    note.last_at = max(note.last_at, at)
    note.records += 1


def _add_unrated(settlement: Settlement, entry: Unrated) -> None:
    key = (entry.nas, entry.acct_session_id, entry.username)
    at, event_at = moment_of_ms(entry.at_ms), moment_of_seconds(entry.event_time)
    note = settlement.unrated.get(key)
    if note is None:
        settlement.unrated[key] = UnratedNote(entry, at, at, event_at)
        return
    if event_at >= note.event_at:
        note.newest, note.event_at = entry, event_at
    note.last_at = max(note.last_at, at)
    note.records += 1


def _add_job(settlement: Settlement, event: JobEvent) -> None:
    settlement.jobs.append(
        JobNote(event, UUID(hex=event.uid), moment_of_ms(event.at_ms), moment_of_ms(event.due_ms))
    )
