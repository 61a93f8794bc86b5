"""Services over HTTP: ordered, started, changed, paused, resumed, cancelled."""

from collections.abc import Callable
from datetime import date, datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from billing.clock import moved
from billing.cycles.calendar import local_day
from billing.cycles.schedule import zone_of
from billing.services import listing, register
from billing.services.history import ServiceState
from billing.services.listing import ServiceEntry, ServiceEvent
from billing.services.register import When
from ratewire.http.endpoint import (
    CARE,
    READERS,
    Body,
    Call,
    Endpoint,
    Name,
    Nothing,
    Page,
    endpoint,
)

_Reason = Annotated[str, Meta(max_length=255)]
_Why = Annotated[str, Meta(min_length=1, max_length=255)]
_Quantity = Annotated[int, Meta(ge=1, le=1_000_000)]


class Order(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A service of the newest version of an offer, for an account and maybe a subscriber.

    It is billed once it is started: now (`start`), later, or by its first session (`by_use`).
    """

    account: Name
    offer: str
    user: str | None = None
    quantity: _Quantity = 1
    description: Annotated[str, Meta(max_length=255)] = ""
    start: bool = False
    by_use: bool = False


class Begin(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """On which day (null: today, in the account's time zone), and why."""

    on: date | None = None
    reason: _Reason = ""


class Change(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The offer to move to. Of `when`: an upgrade is now, a downgrade when the cycle ends."""

    offer: str
    when: When = When.DEFAULT
    on: date | None = None
    quantity: _Quantity | None = None
    reason: _Reason = ""


class Pause(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """From when, until when (null: until it is resumed), and why."""

    reason: _Why
    on: date | None = None
    until: date | None = None


class Cancel(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """From which day on, and why."""

    reason: _Why
    on: date | None = None


class TermView(msgspec.Struct, frozen=True):
    """What a service is on days from `starts_on` on, before `ends_on` (null: for ever)."""

    starts_on: date
    ends_on: date | None
    offer: str
    offer_version: int
    quantity: int


class ServiceView(msgspec.Struct, frozen=True, kw_only=True):
    """A service; `state` is that of today, in the account's time zone."""

    id: int
    account: str
    user: str | None
    description: str
    state: ServiceState
    ordered_offer: str
    ordered_quantity: int
    by_use: bool
    cancelled_on: date | None
    terms: list[TermView]
    created_at: datetime


class Services(msgspec.Struct, frozen=True):
    """Services by number."""

    data: list[ServiceView]
    next: str | None


class ServicesQuery(Page, frozen=True):
    """Whose services."""

    account: str | None = None


class Events(msgspec.Struct, frozen=True):
    """What happened to a service, oldest first."""

    data: list[ServiceEvent]


async def order(call: Call[Nothing, Order]) -> ServiceView:
    """Order one."""
    new, now = call.body, await moved.current(call.conn, call.now)
    entry = await register.order(
        call.conn,
        new.account,
        new.offer,
        username=new.user,
        quantity=new.quantity,
        description=new.description,
        activates_by_use=new.by_use,
        actor=call.actor,
        now=now,
    )
    if new.start:
        entry = await register.start(call.conn, entry.service, actor=call.actor, now=now)
    return await _view(call, entry)


async def list_(call: Call[ServicesQuery, Nothing]) -> Services:
    """List them."""
    query = call.query
    found = await listing.list_(
        call.conn, query.account, after=query.number() or 0, limit=query.limit + 1
    )
    page, more = query.cut(found, lambda each: each.service)
    return Services([await _view(call, each) for each in page], more)


async def get(call: Call[Nothing, Nothing]) -> ServiceView:
    """Read one."""
    return await _view(call, await listing.get(call.conn, _id(call)))


async def events(call: Call[Nothing, Nothing]) -> Events:
    """List what happened to one."""
    entry = await listing.get(call.conn, _id(call))
    return Events(await listing.events(call.conn, entry.service))


async def start(call: Call[Nothing, Begin]) -> ServiceView:
    """Start one."""
    return await _done(call, register.start, on=call.body.on, reason=call.body.reason)


async def change(call: Call[Nothing, Change]) -> ServiceView:
    """Move one to another offer."""
    wanted = call.body
    now = await moved.current(call.conn, call.now)
    entry = await register.change(
        call.conn,
        _id(call),
        wanted.offer,
        when=wanted.when,
        on=wanted.on,
        quantity=wanted.quantity,
        reason=wanted.reason,
        actor=call.actor,
        now=now,
    )
    return await _view(call, entry)


async def pause(call: Call[Nothing, Pause]) -> ServiceView:
    """Pause one."""
    wanted = call.body
    return await _done(call, register.pause, on=wanted.on, until=wanted.until, reason=wanted.reason)


async def resume(call: Call[Nothing, Begin]) -> ServiceView:
    """Let one go on."""
    return await _done(call, register.resume, on=call.body.on, reason=call.body.reason)


async def cancel(call: Call[Nothing, Cancel]) -> ServiceView:
    """End one."""
    return await _done(call, register.cancel, on=call.body.on, reason=call.body.reason)


async def _done(call: Call[Any, Any], change: Any, **wanted: Any) -> ServiceView:
    now = await moved.current(call.conn, call.now)
    entry: ServiceEntry = await change(call.conn, _id(call), **wanted, actor=call.actor, now=now)
    return await _view(call, entry)


def _id(call: Call[Any, Any]) -> int:
    return int(call.path["service_id"])


async def _view(call: Call[Any, Any], entry: ServiceEntry) -> ServiceView:
    now = await moved.current(call.conn, call.now)
    today = local_day(now, await zone_of(call.conn, entry.account))
    return ServiceView(
        id=entry.service,
        account=entry.account,
        user=entry.username,
        description=entry.description,
        state=entry.state_on(today),
        ordered_offer=entry.ordered_offer,
        ordered_quantity=entry.ordered_quantity,
        by_use=entry.activates_by_use,
        cancelled_on=entry.cancelled_on,
        terms=[
            TermView(
                term.starts_on,
                term.ends_on,
                term.offer.name,
                term.offer.version,
                term.quantity,
            )
            for term in entry.terms
        ],
        created_at=entry.created_at,
    )


_ALL = "billing/services/"
_ONE = "billing/services/{service_id}"


def _verb(
    verb: str, summary: str, handler: Callable[[Call[Nothing, Body]], Any], body: type[Body]
) -> Endpoint:
    return endpoint(
        "POST", f"{_ONE}/{verb}", summary, handler, roles=CARE, body=body, answer=ServiceView
    )


ENDPOINTS = (
    endpoint(
        "POST",
        _ALL,
        "Order a service",
        order,
        roles=CARE,
        body=Order,
        answer=ServiceView,
        status=201,
    ),
    endpoint(
        "GET", _ALL, "List services", list_, roles=READERS, query=ServicesQuery, answer=Services
    ),
    endpoint("GET", _ONE, "Read a service", get, roles=READERS, answer=ServiceView),
    endpoint(
        "GET",
        f"{_ONE}/events",
        "List what happened to a service",
        events,
        roles=READERS,
        answer=Events,
    ),
    _verb("start", "Start a service that was ordered: its billing begins", start, Begin),
    _verb("change", "Move a service to another offer", change, Change),
    _verb("pause", "Pause a service: neither served nor billed", pause, Pause),
    _verb("resume", "Let a paused service go on", resume, Begin),
    _verb("cancel", "End a service; its final bill is due on that day", cancel, Cancel),
)
