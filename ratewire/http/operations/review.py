"""What staff should look at, over HTTP: unrated records, anomalies, parked entries."""

from datetime import datetime
from uuid import UUID

import msgspec

from billing.review import listings
from ratewire.http.endpoint import READERS, Call, Nothing, endpoint

#: What of a listing is given at once.
LISTED = 1000


class UnratedView(msgspec.Struct, frozen=True):
    """A session whose records could not be rated: how many, and the newest counters."""

    nas: str
    acct_session_id: str
    username: str
    reason: str
    client: str
    first_at: datetime
    last_at: datetime
    records: int
    seconds: int
    octets_in: int
    octets_out: int


class Unrated(msgspec.Struct, frozen=True):
    """Sessions that could not be rated."""

    data: list[UnratedView]


class UnratedQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whose."""

    user: str | None = None


class AnomalyView(msgspec.Struct, frozen=True):
    """Something odd about a session that changed no balance."""

    session_uid: UUID
    session: str | None
    username: str | None
    account: str
    code: str
    first_at: datetime
    last_at: datetime
    records: int


class Anomalies(msgspec.Struct, frozen=True):
    """Anomalies."""

    data: list[AnomalyView]


class AnomaliesQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Of which account."""

    account: str | None = None


class ParkedView(msgspec.Struct, frozen=True):
    """A settlement entry that could not be booked, as it came (hexadecimal)."""

    parked_at: datetime
    partition: int
    generation: int
    sequence: int
    item: int
    field: str
    entry: str
    error: str


class Parked(msgspec.Struct, frozen=True):
    """Entries that could not be booked."""

    data: list[ParkedView]


async def unrated(call: Call[UnratedQuery, Nothing]) -> Unrated:
    """List what could not be rated."""
    found = await listings.unrated(call.conn, username=call.query.user, limit=LISTED)
    return Unrated([msgspec.convert(each, UnratedView, from_attributes=True) for each in found])


async def anomalies(call: Call[AnomaliesQuery, Nothing]) -> Anomalies:
    """List what was odd."""
    found = await listings.anomalies(call.conn, account=call.query.account, limit=LISTED)
    return Anomalies([msgspec.convert(each, AnomalyView, from_attributes=True) for each in found])


async def parked(call: Call[Nothing, Nothing]) -> Parked:
    """List what could not be booked."""
    return Parked(
        [
            ParkedView(
                parked_at=each.parked_at,
                partition=each.partition,
                generation=each.generation,
                sequence=each.sequence,
                item=each.item,
                field=each.field.hex(),
                entry=each.entry.hex(),
                error=each.error,
            )
            for each in await listings.parked(call.conn, limit=LISTED)
        ]
    )


ENDPOINTS = (
    endpoint(
        "GET",
        "unrated",
        "List sessions that could not be rated",
        unrated,
        roles=READERS,
        query=UnratedQuery,
        answer=Unrated,
    ),
    endpoint(
        "GET",
        "anomalies",
        "List what was odd about sessions",
        anomalies,
        roles=READERS,
        query=AnomaliesQuery,
        answer=Anomalies,
    ),
    endpoint(
        "GET",
        "parked-entries",
        "List settlement entries that could not be booked",
        parked,
        roles=READERS,
        answer=Parked,
    ),
)
