"""What staff should look at, over HTTP: unrated records, anomalies, parked entries."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec
from msgspec import Meta

from billing.review import listings, resolving
from ratewire.http.amounts import shown
from ratewire.http.endpoint import MONEY, READERS, Call, Nothing, endpoint
from ratewire.rerating import rerate_all

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


class RerateRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whose unrated sessions are to be charged, now that the subscriber is there."""

    user: str
    limit: Annotated[int, Meta(ge=1, le=LISTED)] = 100


class RerateView(msgspec.Struct, frozen=True):
    """A session that was to be charged: what it is charged in all, or why it is not."""

    nas: str
    acct_session_id: str
    username: str
    account: str | None
    session: str | None
    total: str | None
    currency: str | None
    refusal: str | None


class Rerating(msgspec.Struct, frozen=True):
    """What became of each session; one with a `refusal` is on the list still."""

    data: list[RerateView]


class WriteOffRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An unrated session that nobody is to pay for, as the list names it, and why."""

    nas: str
    acct_session_id: str
    user: str
    reason: Annotated[str, Meta(min_length=1, max_length=255)]


class ResolutionView(msgspec.Struct, frozen=True):
    """A session that left the list, and why."""

    id: int
    nas: str
    acct_session_id: str
    username: str
    unrated_reason: str
    records: int
    seconds: int
    octets_in: int
    octets_out: int
    outcome: resolving.Outcome
    reason: str
    actor: str
    resolved_at: datetime


class Resolutions(msgspec.Struct, frozen=True):
    """Sessions that left the list, newest first."""

    data: list[ResolutionView]


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


async def rerate(call: Call[Nothing, RerateRequest]) -> Rerating:
    """Charge what a user's sessions had used."""
    done = await rerate_all(
        call.system,
        call.conn,
        call.body.user,
        limit=call.body.limit,
        actor=call.actor,
        now=call.now,
    )
    views = [
        RerateView(
            each.nas,
            each.acct_session_id,
            each.username,
            each.account,
            each.session,
            None
            if each.total_micros is None or each.currency is None
            else shown(each.total_micros, each.currency),
            each.currency,
            each.refusal,
        )
        for each in done
    ]
    return Rerating(views)


async def write_off(call: Call[Nothing, WriteOffRequest]) -> UnratedView:
    """Charge a session to nobody."""
    wanted = call.body
    gone = await resolving.write_off(
        call.conn,
        wanted.nas,
        wanted.acct_session_id,
        wanted.user,
        reason=wanted.reason,
        actor=call.actor,
        now=call.now,
    )
    return msgspec.convert(gone, UnratedView, from_attributes=True)


async def resolutions(call: Call[UnratedQuery, Nothing]) -> Resolutions:
    """List what left the list."""
    found = await resolving.resolutions(call.conn, username=call.query.user, limit=LISTED)
    same = ResolutionView.__struct_fields__[1:]
    return Resolutions(
        [
            ResolutionView(each.resolution_id, *(getattr(each, name) for name in same))
            for each in found
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
        "POST",
        "unrated/rerate",
        "Charge a user's unrated sessions, once the subscriber is there",
        rerate,
        roles=MONEY,
        body=RerateRequest,
        answer=Rerating,
    ),
    endpoint(
        "POST",
        "unrated/write-off",
        "Charge an unrated session to nobody",
        write_off,
        roles=MONEY,
        body=WriteOffRequest,
        answer=UnratedView,
    ),
    endpoint(
        "GET",
        "unrated/resolutions",
        "List what became of unrated sessions",
        resolutions,
        roles=READERS,
        query=UnratedQuery,
        answer=Resolutions,
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
