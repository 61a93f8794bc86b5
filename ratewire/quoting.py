"""What usage would cost, and how long money lasts: rating run dry, for the desk and for clients."""

import struct
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

import msgspec

from balances.messages import Account, Lookup
from billing.catalogue.plans import version_of
from billing.database import Connection
from billing.errors import InvalidInput, NotFound
from ratewire.wiring import System
from rating.calendar import Cycle
from rating.charge import Line
from rating.plan import Plan
from rating.pool import Pool, decode_pool
from rating.quantity import Counters
from rating.quote import Reach, quote, reach
from rating.session import MAX_SECONDS
from rating.tally import Sharing, Subject
from rating.tariff import MAX_OCTETS

#: No line carries more octets in a second (100 Gbit/s).
MAX_PACE: Final = 12_500_000_000


class Customer(msgspec.Struct, frozen=True):
    """Who asks: a subscriber as it stands, or somebody without an account on a plan.

    `version` is that of the plan (None: the newest); `service` the name of one of its services.
    """

    plan: str | None = None
    version: int | None = None
    subscriber: str | None = None
    service: str = ""


class Price(msgspec.Struct, frozen=True):
    """What usage would cost; the lines sum to `charge_micros`."""

    plan: str
    plan_version: int
    currency: str
    at: datetime
    charge_micros: int
    lines: tuple[Line, ...]


class Lasting(msgspec.Struct, frozen=True):
    """How far money takes a session that begins at a moment.

    `available_micros` None is unlimited credit; `seconds` and `octets` None: without end.
    """

    plan: str
    plan_version: int
    currency: str
    at: datetime
    available_micros: int | None
    seconds: int | None
    octets: int | None


class _Terms(msgspec.Struct, frozen=True):
    plan: Plan
    sharing: Sharing
    account: Account | None


async def price_of(
    system: System,
    conn: Connection,
    customer: Customer,
    usage: Counters,
    at: str | None,
    *,
    now: datetime,
) -> Price:
    """Return what a session would cost that begins at `at` (None: now) and uses this much.

    Raises InvalidInput and NotFound, and what the store raises.
    """
    for name, value, most in (
        ("seconds", usage.seconds, MAX_SECONDS),
        ("octets_in", usage.octets_in, MAX_OCTETS // 2),
        ("octets_out", usage.octets_out, MAX_OCTETS // 2),
    ):
        if not 0 <= value <= most:
            raise InvalidInput(f"{name} is {value}, allowed is 0 to {most}")
    terms = await _terms(system, conn, customer)
    moment = _moment(at, terms, now)
    found = quote(terms.plan, usage, int(moment.timestamp()), terms.sharing)
    if found is None:
        raise InvalidInput("so much would cost more than any account can hold")
    plan = terms.plan
    return Price(
        plan.name, plan.version, plan.tariff.currency, moment, found.charge_micros, found.lines
    )


async def lasting(
    system: System,
    conn: Connection,
    customer: Customer,
    pace: Counters,
    balance_micros: int | None,
    *,
    now: datetime,
) -> Lasting:
    """Return how long a session that began now could go on, using `pace` octets a second.

    With what the subscriber has available (what running sessions have reserved is theirs), or with
    `balance_micros`. Raises as `price_of` does.
    """
    if balance_micros is None and customer.subscriber is None:
        raise InvalidInput("give a subscriber, or a plan and a balance")
    for name, value in (("octets_in", pace.octets_in), ("octets_out", pace.octets_out)):
        if not 0 <= value <= MAX_PACE:
            raise InvalidInput(f"{name} a second is {value}, allowed is 0 to {MAX_PACE}")
    terms = await _terms(system, conn, customer)
    available = balance_micros
    if available is None:
        assert terms.account is not None
        available = terms.account.available
    moment = _moment(None, terms, now)
    plan = terms.plan
    found: Reach = reach(plan, int(moment.timestamp()), terms.sharing, available, pace)
    return Lasting(
        plan.name,
        plan.version,
        plan.tariff.currency,
        moment,
        available,
        found.seconds,
        found.octets,
    )


async def _terms(system: System, conn: Connection, customer: Customer) -> _Terms:
    """The plan and the account's pool that a question is about."""
    if customer.plan is None and customer.subscriber is None:
        raise InvalidInput("give a plan or a subscriber")
    name, account, pool = customer.plan, None, Pool()
    if customer.subscriber is not None:
        # As a record of it would be rated: by what the store holds.
        lookup = Lookup("", "", customer.subscriber)
        [found] = (await system.store.read([lookup])).found
        account = found.subscriber_account
        if found.subscriber is None or account is None:
            raise NotFound(f"the store knows no subscriber {customer.subscriber}")
        name = name or found.subscriber.plan
        pool = _pool_of(account)
    assert name is not None
    plan = await version_of(conn, name, customer.version)
    if account is not None and account.currency != plan.tariff.currency:
        raise InvalidInput(
            f"plan {name} is in {plan.tariff.currency}, account {account.account} in"
            f" {account.currency}"
        )
    services = [service.name for service in plan.tariff.services]
    if customer.service and customer.service not in services:
        raise InvalidInput(
            f"service {customer.service!r} is none of plan {name}'s:"
            f" {', '.join(services) or 'it has none'}"
        )
    cycle = Cycle(ZoneInfo(pool.zone or plan.tariff.zone), pool.billing_day)
    subject = Subject(cycle, customer.subscriber or "", customer.service)
    return _Terms(plan, Sharing(subject, pool), account)


def _pool_of(account: Account) -> Pool:
    if account.pool is None:
        return Pool()
    try:
        return decode_pool(account.pool)
    except (msgspec.DecodeError, struct.error) as error:
        raise InvalidInput(
            f"what account {account.account} has left cannot be read: {error}"
        ) from error


def _moment(text: str | None, terms: _Terms, now: datetime) -> datetime:
    """The moment a text names, by the account's clock unless it names a zone itself."""
    zone = terms.sharing.subject.cycle.zone
    if text is None:
        return now.astimezone(zone).replace(microsecond=0)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise InvalidInput(
            f"at is {text!r}: write 2026-05-01T12:00, by the clock of {zone}, or with an offset"
        ) from error
    if not 1990 <= moment.year <= 2100:
        raise InvalidInput(f"at is {text!r}: allowed are the years 1990 to 2100")
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=zone)
