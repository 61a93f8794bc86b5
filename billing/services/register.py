"""The register of services: ordering, starting, changing, pausing and cancelling them.

Each change takes the account's row, is written down with who made it and why, makes a bill due on
the day on which it takes effect, and reaches the network on that day.
"""

import enum
from datetime import date, datetime, timedelta
from typing import Final

import asyncpg

from billing.accounts.register import LockedAccount, lock, refuse_closed
from billing.coupons.register import give_promotions
from billing.cycles import schedule as schedules
from billing.cycles.calendar import local_day
from billing.database import Connection
from billing.errors import Conflict, InvalidInput, NotFound
from billing.offers import register as offers
from billing.offers.offer import Offer
from billing.services import history
from billing.services.history import OfferVersion
from billing.services.listing import ServiceEntry, get
from billing.services.provisioning import provision
from billing.statements import load
from billing.subscribers.subscriber import check_username

SQL = load(__package__, "queries.sql")

MAX_QUANTITY: Final = 10_000

#: How far back a service may be changed, in days: what was billed since is credited or charged.
MAX_DAYS_BACK: Final = 366

_BACK: Final = timedelta(days=MAX_DAYS_BACK)


class When(enum.StrEnum):
    """When a change of offer takes effect.

    DEFAULT: at once if the new offer costs as much or more, else when the billing cycle ends.
    """

    DEFAULT = "default"
    NOW = "now"
    PERIOD_END = "period-end"


async def order(
    conn: Connection,
    account: str,
    offer: str,
    *,
    username: str | None = None,
    quantity: int = 1,
    description: str = "",
    activates_by_use: bool = False,
    actor: str,
    now: datetime,
) -> ServiceEntry:
    """Order a service of the newest version of an offer: it is billed once it is started.

    With `activates_by_use` it starts by itself on the day of its subscriber's first session. Raises
    InvalidInput; NotFound for account, offer or subscriber; Conflict for another currency, a closed
    account, or a user name that has a service already or is of another account.
    """
    if not 1 <= quantity <= MAX_QUANTITY:
        raise InvalidInput(f"quantity is {quantity}, allowed is 1 to {MAX_QUANTITY}")
    if activates_by_use and username is None:
        raise InvalidInput("a service without a subscriber cannot be activated by its use")
    async with conn.transaction():
        held = await lock(conn, account)
        refuse_closed(held)
        sold = _in_currency(await offers.get(conn, offer), held)
        if username is not None:
            await _check_owner(conn, check_username(username), account)
        text = description or sold.description or sold.name
        try:
            service = await conn.fetchval(
                SQL["order"], account, username, text, offer, quantity, activates_by_use, now
            )
        except asyncpg.UniqueViolationError:
            raise Conflict(f"subscriber {username} has a service already") from None
        await _note(conn, service, "ordered", None, offer, "", actor, now)
        return await get(conn, service)


async def start(
    conn: Connection,
    service: int,
    *,
    on: date | None = None,
    reason: str = "",
    actor: str,
    now: datetime,
) -> ServiceEntry:
    """Start a service that was ordered, today or on another day: its billing begins.

    Promotions that hold on that day are given. Raises NotFound, InvalidInput for a day too far
    back, Conflict if it has begun or was cancelled, or the account is closed.
    """
    async with conn.transaction():
        held, entry, today = await _take(conn, service, now)
        refuse_closed(held)
        day = _day(on, today)
        sold = _in_currency(await offers.get(conn, entry.ordered_offer), held)
        version = OfferVersion(sold.name, sold.version)
        terms = history.started(entry.terms, day, version, entry.ordered_quantity)
        await give_promotions(conn, entry.account, sold, day, actor=actor, now=now)
        return await _write(conn, entry, terms, "started", day, today, version, reason, actor, now)


async def change(
    conn: Connection,
    service: int,
    offer: str,
    *,
    when: When = When.DEFAULT,
    on: date | None = None,
    quantity: int | None = None,
    reason: str = "",
    actor: str,
    now: datetime,
) -> ServiceEntry:
    """Move a service to the newest version of an offer, on a day, or `when` says.

    What was planned for later days is dropped. Raises as `start` does.
    """
    async with conn.transaction():
        held, entry, today = await _take(conn, service, now)
        refuse_closed(held)
        new = _in_currency(await offers.get(conn, offer), held)
        day = _day(on, today)
        running = history.term_on(entry.terms, day)
        if running is None:
            raise Conflict(f"service {service} is {entry.state_on(day)} on {day}, and not active")
        number = running.quantity if quantity is None else quantity
        if not 1 <= number <= MAX_QUANTITY:
            raise InvalidInput(f"quantity is {number}, allowed is 1 to {MAX_QUANTITY}")
        if on is None and await _waits(conn, running, new, number, when):
            schedule = await schedules.get(conn, entry.account)
            day = schedule.calendar.part_of(today).period.end
        version = OfferVersion(new.name, new.version)
        terms = history.changed(entry.terms, day, version, number)
        return await _write(conn, entry, terms, "changed", day, today, version, reason, actor, now)


async def pause(
    conn: Connection,
    service: int,
    *,
    on: date | None = None,
    until: date | None = None,
    reason: str,
    actor: str,
    now: datetime,
) -> ServiceEntry:
    """Pause a service, for a season (`until`) or until it is resumed: it is neither served nor
    billed on those days. Raises as `start` does.
    """
    async with conn.transaction():
        _, entry, today = await _take(conn, service, now)
        day = _day(on, today)
        terms = history.paused(entry.terms, day, until)
        return await _write(conn, entry, terms, "paused", day, today, None, reason, actor, now)


async def resume(
    conn: Connection,
    service: int,
    *,
    on: date | None = None,
    reason: str = "",
    actor: str,
    now: datetime,
) -> ServiceEntry:
    """Let a paused service go on, on the offer that it was on. Raises as `start` does."""
    async with conn.transaction():
        held, entry, today = await _take(conn, service, now)
        refuse_closed(held)
        day = _day(on, today)
        terms = history.resumed(entry.terms, day)
        return await _write(conn, entry, terms, "resumed", day, today, None, reason, actor, now)


async def cancel(
    conn: Connection,
    service: int,
    *,
    on: date | None = None,
    reason: str,
    actor: str,
    now: datetime,
) -> ServiceEntry:
    """End a service: on that day its final bill is due, with what was paid for later days given
    back. Raises as `start` does.
    """
    async with conn.transaction():
        _, entry, today = await _take(conn, service, now)
        day = _day(on, today)
        terms = history.cancelled(entry.terms, day)
        await conn.execute(SQL["set_cancelled"], service, day)
        return await _write(conn, entry, terms, "cancelled", day, today, None, reason, actor, now)


async def start_used(conn: Connection, now: datetime, *, limit: int = 500) -> int:
    """Start the services that wait for their first session and had one; return how many."""
    rows = await conn.fetch(SQL["first_uses"], limit)
    begun = 0
    for row in rows:
        zone = await schedules.zone_of(conn, row["account_id"])
        day = max(local_day(row["used_at"], zone), local_day(now, zone) - _BACK)
        try:
            await start(
                conn, row["service_id"], on=day, reason="first session", actor="system", now=now
            )
        except Conflict:
            continue  # it was started or cancelled meanwhile, or the account is closed
        begun += 1
    return begun


async def _take(
    conn: Connection, service: int, now: datetime
) -> tuple[LockedAccount, ServiceEntry, date]:
    """The account of a service, taken; the service; and today in the account's zone."""
    account = await conn.fetchval(SQL["account_of"], service)
    if account is None:
        raise NotFound(f"service {service} does not exist")
    held = await lock(conn, account)
    entry = await get(conn, service)
    today = local_day(now, await schedules.zone_of(conn, account))
    if entry.cancelled_on is not None:
        raise Conflict(f"service {service} was cancelled, from {entry.cancelled_on} on")
    return held, entry, today


async def _write(
    conn: Connection,
    entry: ServiceEntry,
    terms: history.Terms,
    event: str,
    day: date,
    today: date,
    offer: OfferVersion | None,
    reason: str,
    actor: str,
    now: datetime,
) -> ServiceEntry:
    service = entry.service
    await conn.execute(SQL["drop_terms"], service)
    await conn.execute(
        SQL["add_terms"],
        service,
        [term.starts_on for term in terms],
        [term.ends_on for term in terms],
        [term.offer.name for term in terms],
        [term.offer.version for term in terms],
        [term.quantity for term in terms],
    )
    await _note(conn, service, event, day, offer and offer.name, reason, actor, now)
    if terms or entry.terms:
        await schedules.note_change(conn, entry.account, day, today, now)
    written = await get(conn, service)
    await provision(conn, written, today, now)
    return written


async def _note(
    conn: Connection,
    service: int,
    event: str,
    day: date | None,
    offer: str | None,
    reason: str,
    actor: str,
    now: datetime,
) -> None:
    await conn.execute(SQL["note_event"], service, now, event, day, offer, reason, actor)


async def _check_owner(conn: Connection, username: str, account: str) -> None:
    owner = await conn.fetchval(SQL["owner_of"], username)
    if owner is None:
        raise NotFound(f"subscriber {username} does not exist")
    if owner != account:
        raise Conflict(f"subscriber {username} is of account {owner}, not of {account}")


async def _waits(
    conn: Connection,
    running: history.TermOf,
    new: Offer,
    quantity: int,
    when: When,
) -> bool:
    """Whether a change of offer waits for the end of the billing cycle."""
    if when is not When.DEFAULT:
        return when is When.PERIOD_END
    key = (running.offer.name, running.offer.version)
    old = (await offers.versions(conn, [key]))[key]
    return new.per_year_micros() * quantity < old.per_year_micros() * running.quantity


def _day(on: date | None, today: date) -> date:
    if on is None:
        return today
    if on < today - _BACK:
        raise InvalidInput(f"{on}: a service can be changed from {today - _BACK} on")
    return on


def _in_currency(offer: Offer, account: LockedAccount) -> Offer:
    if offer.currency != account.currency:
        raise Conflict(
            f"offer {offer.name} is in {offer.currency}, account {account.account} in"
            f" {account.currency}"
        )
    return offer
