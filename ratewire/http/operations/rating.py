"""Dry runs of rating over HTTP: nothing is charged by any of it."""

from datetime import date, datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from billing.catalogue.plans import version_of
from billing.comparison.day import Difference, compare
from billing.sessions.explain import explain_settled
from ratewire.http.amounts import Amount, read, shown, shown_or_none
from ratewire.http.endpoint import READERS, Call, Nothing, endpoint
from ratewire.quoting import MAX_PACE, Customer, lasting, price_of
from ratewire.views.lines import told
from rating.charge import Line
from rating.quantity import Counters
from rating.session import MAX_SECONDS
from rating.tariff import MAX_OCTETS

_MAX_OCTETS = MAX_OCTETS // 2


class CustomerQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A subscriber as it stands, or a plan for somebody without an account."""

    plan: str | None = None
    version: Annotated[int, Meta(ge=1, le=2**31 - 1)] | None = None
    subscriber: str | None = None
    service: str = ""

    def customer(self) -> Customer:
        """Who asks."""
        return Customer(self.plan, self.version, self.subscriber, self.service)


class PriceQuery(CustomerQuery, frozen=True):
    """Usage. `at` is when the session begins, by the account's clock unless it has an offset."""

    seconds: Annotated[int, Meta(ge=0, le=MAX_SECONDS)] = 0
    octets_in: Annotated[int, Meta(ge=0, le=_MAX_OCTETS)] = 0
    octets_out: Annotated[int, Meta(ge=0, le=_MAX_OCTETS)] = 0
    at: str | None = None


class LineView(msgspec.Struct, frozen=True):
    """One reason of a charge; `words` say all of it."""

    kind: str
    amount: str
    counter: str | None
    units: int
    billed_units: int
    covered_units: int
    allowance: str
    words: str


class PriceView(msgspec.Struct, frozen=True):
    """What usage would cost; the lines sum to it."""

    plan: str
    plan_version: int
    currency: str
    at: datetime
    charge: str
    lines: list[LineView]


class LastingQuery(CustomerQuery, frozen=True):
    """Usage in a second, and the money: what the subscriber has available, or `balance`."""

    balance: Amount | None = None
    octets_in: Annotated[int, Meta(ge=0, le=MAX_PACE)] = 0
    octets_out: Annotated[int, Meta(ge=0, le=MAX_PACE)] = 0


class LastingView(msgspec.Struct, frozen=True):
    """How far it goes from now; null is without end."""

    plan: str
    plan_version: int
    currency: str
    at: datetime
    available: str | None
    seconds: int | None
    octets: int | None


class ChargesQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which charges: those of a sequence, or those that a transaction of the ledger sums up."""

    account: str
    charge: Annotated[int, Meta(ge=1, le=2**63 - 1)] | None = None
    transaction: Annotated[int, Meta(ge=1, le=2**63 - 1)] | None = None
    limit: Annotated[int, Meta(ge=1, le=1000)] = 100


class ChargeView(msgspec.Struct, frozen=True):
    """A settled charge with its reasons; they sum to it."""

    session: str
    username: str
    plan: str
    plan_version: int
    currency: str
    charge_sequence: int
    event_at: datetime
    settled_at: datetime
    seconds: int
    octets_in: int
    octets_out: int
    charged: str
    total: str
    lines: list[LineView]


class Charges(msgspec.Struct, frozen=True):
    """Charges, the latest first."""

    data: list[ChargeView]


class ComparisonQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A day in the plan's zone, and the version to compare with (default: the newest)."""

    day: date
    plan: str
    version: Annotated[int, Meta(ge=1, le=2**31 - 1)] | None = None


class DifferenceView(msgspec.Struct, frozen=True):
    """An account's day: what was charged, and its price by its own versions and by the other."""

    account: str
    records: int
    charged: str
    before: str
    after: str
    difference: str


class ComparisonView(msgspec.Struct, frozen=True):
    """A day on a plan, by account, and in total."""

    day: date
    plan: str
    plan_version: int
    currency: str
    data: list[DifferenceView]
    total: DifferenceView


async def price(call: Call[PriceQuery, Nothing]) -> PriceView:
    """Tell what a session would cost."""
    asked = call.query
    usage = Counters(asked.seconds, asked.octets_in, asked.octets_out)
    found = await price_of(call.system, call.conn, asked.customer(), usage, asked.at, now=call.now)
    return PriceView(
        found.plan,
        found.plan_version,
        found.currency,
        found.at,
        shown(found.charge_micros, found.currency),
        _lines(found.lines, found.currency),
    )


async def lasts(call: Call[LastingQuery, Nothing]) -> LastingView:
    """Tell how far money takes a session that begins now."""
    asked = call.query
    balance = None if asked.balance is None else read(asked.balance, "balance")
    pace = Counters(0, asked.octets_in, asked.octets_out)
    found = await lasting(call.system, call.conn, asked.customer(), pace, balance, now=call.now)
    return LastingView(
        found.plan,
        found.plan_version,
        found.currency,
        found.at,
        shown_or_none(found.available_micros, found.currency),
        found.seconds,
        found.octets,
    )


async def charges(call: Call[ChargesQuery, Nothing]) -> Charges:
    """Explain settled charges."""
    asked = call.query
    found = await explain_settled(
        call.conn,
        asked.account,
        charge_sequence=asked.charge,
        transaction_id=asked.transaction,
        limit=asked.limit,
    )
    return Charges(
        [
            ChargeView(
                each.session_uid.hex,
                each.username,
                each.plan,
                each.plan_version,
                each.currency,
                each.charge.charge_sequence,
                each.charge.event_at,
                each.charge.settled_at,
                each.charge.seconds,
                each.charge.octets_in,
                each.charge.octets_out,
                shown(each.charge.charged_micros, each.currency),
                shown(each.charge.total_micros, each.currency),
                _lines(each.charge.lines, each.currency),
            )
            for each in found
        ]
    )


async def comparison(call: Call[ComparisonQuery, Nothing]) -> ComparisonView:
    """Rate a day's sessions by another version, and show the difference by account."""
    asked = call.query
    plan = await version_of(call.conn, asked.plan, asked.version)
    async with call.conn.transaction():
        found = await compare(call.conn, asked.day, plan)
    return ComparisonView(
        found.day,
        found.plan,
        plan.version,
        found.currency,
        [_difference(each, found.currency) for each in found.accounts],
        _difference(found.total, found.currency),
    )


def _difference(found: Difference, currency: str) -> DifferenceView:
    return DifferenceView(
        found.account,
        found.records,
        shown(found.charged_micros, currency),
        shown(found.before_micros, currency),
        shown(found.after_micros, currency),
        shown(found.difference_micros, currency),
    )


def _lines(lines: tuple[Line, ...], currency: str) -> list[LineView]:
    return [
        LineView(
            line.kind,
            shown(line.amount_micros, currency),
            line.counter,
            line.units,
            line.billed_units,
            line.covered_units,
            line.allowance,
            told(line, currency),
        )
        for line in lines
    ]


ENDPOINTS = (
    endpoint(
        "GET",
        "rating/price",
        "What a session would cost",
        price,
        roles=READERS,
        query=PriceQuery,
        answer=PriceView,
    ),
    endpoint(
        "GET",
        "rating/lasting",
        "How far money takes a session that begins now",
        lasts,
        roles=READERS,
        query=LastingQuery,
        answer=LastingView,
    ),
    endpoint(
        "GET",
        "rating/charges",
        "Why settled charges are what they are",
        charges,
        roles=READERS,
        query=ChargesQuery,
        answer=Charges,
    ),
    endpoint(
        "GET",
        "rating/comparison",
        "What a day's sessions would have cost by another version of their plan",
        comparison,
        roles=READERS,
        query=ComparisonQuery,
        answer=ComparisonView,
    ),
)
