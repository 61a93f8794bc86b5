"""Settlement entries and items, made by hand."""

from collections.abc import Sequence

import msgspec

from balances import entries
from balances.entries import (
    JOB_FIELD,
    LOOSE_FIELD,
    Anomaly,
    Closed,
    JobEvent,
    Opened,
    Unrated,
    Used,
)
from balances.messages import Position, StreamEntry
from billing.settlement.rows import Item
from rating.quantity import NOTHING, Counters

AT_MS = 1_790_000_000_123
EVENT = 1_790_000_000
USAGE = Counters(60, 1000, 9000)
IDENTITY = msgspec.Raw(msgspec.msgpack.encode(("pop1",)))


def uid(number: int) -> bytes:
    """A session uid that is easily told from others."""
    return number.to_bytes(16)


def used(
    number: int = 1,
    account: str = "alice",
    charge: int = 20,
    *,
    currency: str = "EUR",
    usage: Counters = USAGE,
    after: Counters | None = None,
    total: int | None = None,
) -> Used:
    """Usage of session `number`."""
    return Used(
        uid(number),
        account,
        AT_MS,
        3,
        EVENT,
        usage,
        usage if after is None else after,
        charge,
        charge if total is None else total,
        "metered",
        1,
        currency,
    )


def opened(number: int = 1, account: str = "alice", *, session: str = "80000001") -> Opened:
    """The beginning of session `number`."""
    return Opened(
        uid(number),
        account,
        AT_MS,
        f"pop1|{session}",
        "pop1",
        session,
        0,
        account,
        "metered",
        1,
        "EUR",
        EVENT - 60,
        NOTHING,
        IDENTITY,
    )


def closed(
    number: int = 1, account: str = "alice", *, reason: str = "stop", total: int = 20
) -> Closed:
    """The end of session `number`."""
    return Closed(
        uid(number), account, AT_MS + 1000, reason, 1, EVENT, Counters(60, 1000, 9000), total
    )


def anomaly(number: int = 1, code: str = "counter_fell", *, octets_in: int = 5) -> Anomaly:
    """An anomaly of session `number`."""
    return Anomaly(uid(number), "alice", AT_MS, code, EVENT, Counters(1, octets_in, 7))


def unrated(session: str = "80000009", *, event_time: int = EVENT, octets_in: int = 10) -> Unrated:
    """A record of an unknown user."""
    return Unrated(
        AT_MS,
        "unknown_user",
        "pop1",
        "pop1/10.0.0.1",
        session,
        "mallory",
        3,
        event_time,
        Counters(60, octets_in, 100),
        IDENTITY,
    )


def job_event(number: int = 1, event: str = "requested") -> JobEvent:
    """An event of the job that cuts session `number`."""
    return JobEvent(
        uid(number).hex(),
        "pop1|80000001",
        "alice",
        "exhausted",
        event,
        AT_MS,
        AT_MS + 500,
        1,
        "ack",
        0,
    )


def items(*values: entries.Entry | JobEvent | bytes) -> list[Item]:
    """Items of one stream entry; those of accounts get charge sequences, octets are as they are."""
    made: list[Item] = []
    for index, value in enumerate(values):
        if isinstance(value, bytes):
            field, packed = str(index + 1).encode(), value
        elif isinstance(value, JobEvent):
            field, packed = JOB_FIELD, msgspec.msgpack.encode(value)
        elif isinstance(value, Unrated):
            field, packed = LOOSE_FIELD, entries.encode(value)
        else:
            field, packed = str(index + 1).encode(), entries.encode(value)
        made.append(Item(Position(1, 1), index, field, packed))
    return made


def stream(batches: Sequence[Sequence[Item]], *, after: int = 0) -> list[StreamEntry]:
    """Stream entries of these items, from sequence `after` + 1 on."""
    return [
        StreamEntry(Position(1, after + 1 + n), [(item.field, item.value) for item in batch])
        for n, batch in enumerate(batches)
    ]
