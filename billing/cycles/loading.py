"""Reading what the bills of some accounts are made from, with a few statements for all of them."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Final
from zoneinfo import ZoneInfo

import asyncpg
import msgspec

from billing.accounts.account import AccountStatus, PaymentMode
from billing.coupons.discount import LineKind, Redeemed
from billing.coupons.register import redeemed_by
from billing.cycles.bill import Account, window
from billing.cycles.calendar import Calendar, Period, midnight
from billing.cycles.difference import Billed
from billing.cycles.proposal import Rate, Service, Term
from billing.database import Connection
from billing.offers import register as offers
from billing.offers.offer import Offer
from billing.statements import load

SQL = load(__package__, "queries.sql")

_decode_calendar: Final = msgspec.json.Decoder(Calendar).decode
_decode_rate: Final = msgspec.json.Decoder(Rate).decode

#: Offers as they were at one time; they never change.
OfferCache = dict[tuple[str, int], Offer]


class Held(msgspec.Struct, frozen=True):
    """An account whose rows are taken until the transaction ends; its bill is due on `bill_on`."""

    account: str
    currency: str
    payment_mode: PaymentMode
    closed: bool
    zone: ZoneInfo
    calendar: Calendar
    billed_until: date | None
    changed_since: date | None
    bill_on: date
    review_days: int
    needs_approval: bool

    @property
    def goes_on(self) -> bool:
        """Whether it is billed each cycle without services too: for what its subscribers use."""
        return self.payment_mode is PaymentMode.POSTPAID and not self.closed


class Source(msgspec.Struct, frozen=True):
    """What is known of a billed item beside what bills are made from: where it stands."""

    invoice: int | None
    line: int | None


class Loaded(msgspec.Struct, frozen=True):
    """An account with all that its bill is made from, and the invoice lines of what was billed."""

    held: Held
    account: Account
    sources: Mapping[int, Source]


async def hold_due(
    conn: Connection, at: datetime, after: str, limit: int, *, wait: bool = False
) -> list[Held]:
    """Take accounts that are due, in order, after one: those that nobody else has taken, or waiting
    for them.
    """
    while rows := await conn.fetch(SQL["wait_for_due" if wait else "hold_due"], at, after, limit):
        # Whoever had one taken just before may have parked it, which the statement did not see.
        names = [row["account_id"] for row in rows]
        parked = {row[0] for row in await conn.fetch(SQL["parked_of"], names)}
        if free := [row for row in rows if row["account_id"] not in parked]:
            return [held(row, row["next_bill_on"]) for row in free]
    return []


def held(row: asyncpg.Record, bill_on: date) -> Held:
    """Return an account that was taken, to be billed on a day."""
    return Held(
        account=row["account_id"],
        currency=row["currency"],
        payment_mode=PaymentMode(row["payment_mode"]),
        closed=row["status"] == AccountStatus.CLOSED,
        zone=ZoneInfo(row["time_zone"]),
        calendar=_decode_calendar(row["calendar"]),
        billed_until=row["billed_until"],
        changed_since=row["changed_since"],
        bill_on=bill_on,
        review_days=row["review_days"],
        needs_approval=row["needs_approval"],
    )


async def load_accounts(
    conn: Connection, accounts: Sequence[Held], cache: OfferCache
) -> list[Loaded]:
    """Return what the bills of accounts are made from; offers that were read stay in `cache`."""
    rows = await conn.fetch(
        SQL["services_of"], [each.account for each in accounts], [_done(each) for each in accounts]
    )
    wanted = {pair for row in rows for pair in zip(row["offers"], row["versions"], strict=True)}
    if missing := wanted - cache.keys():
        cache |= await offers.versions(conn, missing)
    services: defaultdict[str, list[Service]] = defaultdict(list)
    usernames: dict[int, str] = {}
    for row in rows:
        services[row["account_id"]].append(_service(row, cache))
        if row["username"] is not None:
            usernames[row["service_id"]] = row["username"]
    await _add_gone(conn, accounts, services)
    redeemed = await redeemed_by(conn, list(services))
    plain = [_account(each, services[each.account], redeemed) for each in accounts]
    billed, sources = await _billed(conn, plain)
    used = await _usage(conn, list(zip(accounts, plain, strict=True)), usernames)
    loaded: list[Loaded] = []
    for place, (each, account) in enumerate(zip(accounts, plain, strict=True)):
        own = [one for service in account.services for one in billed[service.service]]
        whole = msgspec.structs.replace(
            account, billed=tuple(own), usage_micros=used.get(place, {})
        )
        loaded.append(Loaded(each, whole, {one.item: sources[one.item] for one in own}))
    return loaded


def _account(
    each: Held, services: Sequence[Service], redeemed: Mapping[str, list[Redeemed]]
) -> Account:
    return Account(
        account=each.account,
        currency=each.currency,
        calendar=each.calendar,
        bill_on=each.bill_on,
        billed_until=each.billed_until,
        changed_since=each.changed_since,
        goes_on=each.goes_on,
        services=tuple(services),
        redeemed=tuple(redeemed.get(each.account, ())),
    )


async def _add_gone(
    conn: Connection, accounts: Sequence[Held], services: defaultdict[str, list[Service]]
) -> None:
    """Services that never were, with what was billed for them: they have no terms."""
    changed = [each for each in accounts if each.changed_since is not None]
    if changed:
        rows = await conn.fetch(
            SQL["gone_services"],
            [each.account for each in changed],
            [_done(each) for each in changed],
        )
        for row in rows:
            services[row["account_id"]].append(Service(row["service_id"], ()))


async def _billed(
    conn: Connection, accounts: Sequence[Account]
) -> tuple[defaultdict[int, list[Billed]], dict[int, Source]]:
    services = [(account, service) for account in accounts for service in account.services]
    rows = await conn.fetch(
        SQL["billed_for"],
        [service.service for _, service in services],
        [window(account, service) for account, service in services],
    )
    billed: defaultdict[int, list[Billed]] = defaultdict(list)
    sources: dict[int, Source] = {}
    for row in rows:
        billed[row["service_id"]].append(_billed_item(row))
        sources[row["item_id"]] = Source(row["invoice_id"], row["invoice_line"])
    return billed, sources


async def _usage(
    conn: Connection,
    accounts: Sequence[tuple[Held, Account]],
    usernames: Mapping[int, str],
) -> dict[int, dict[tuple[int, date], int]]:
    """What the usage of services with a minimum was charged for in the cycles that are closed, by
    the place of the account among those given.
    """
    wanted = [
        (place, service.service, cycle, each)
        for place, (each, account) in enumerate(accounts)
        for service in account.services
        if service.service in usernames and any(t.offer.minimum_micros for t in service.terms)
        for cycle in account.closed
    ]
    used: defaultdict[int, dict[tuple[int, date], int]] = defaultdict(dict)
    if wanted:
        rows = await conn.fetch(
            SQL["usage_of"],
            [each.account for _, _, _, each in wanted],
            [usernames[service] for _, service, _, _ in wanted],
            [midnight(cycle.start, each.zone) for _, _, cycle, each in wanted],
            [midnight(cycle.end, each.zone) for _, _, cycle, each in wanted],
        )
        for (place, service, cycle, _), row in zip(wanted, rows, strict=True):
            used[place][service, cycle.start] = row["charged_micros"]
    return used


def _done(each: Held) -> date:
    """What was cancelled before this day is billed to its end."""
    last = each.billed_until or each.calendar.changes[0].since
    return min(last, each.changed_since or last)


def _service(row: asyncpg.Record, cache: OfferCache) -> Service:
    columns = (row[name] for name in ("starts_on", "ends_on", "offers", "versions", "quantities"))
    return Service(
        row["service_id"],
        tuple(
            Term(starts_on, ends_on, cache[name, version], quantity)
            for starts_on, ends_on, name, version, quantity in zip(*columns, strict=True)
        ),
    )


def _billed_item(row: asyncpg.Record) -> Billed:
    return Billed(
        item=row["item_id"],
        service=row["service_id"],
        charge=row["charge"],
        kind=LineKind(row["kind"]),
        offer=row["offer"],
        description=row["description"],
        tax_category=row["tax_category"],
        rate=_decode_rate(row["rate"]),
        covers=tuple(
            Period(start, end) for start, end in zip(row["starts_on"], row["ends_on"], strict=True)
        ),
        left_micros=row["left_micros"],
        discount_left_micros=row["discount_left"],
    )
