"""Figures over HTTP: all accounts at once, a customer's, and what moved balances in a period."""

import zoneinfo
from datetime import date, datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from billing.accounts.account import AccountStatus, PaymentMode, time_zone
from billing.customers import register as customers
from billing.ledger.transaction import Kind
from billing.overview import figures
from billing.overview.figures import Step
from billing.payments.payment import PaymentStatus
from billing.review.listings import ReviewCounts, counts
from ratewire.http.amounts import shown
from ratewire.http.endpoint import READERS, Call, Nothing, endpoint


class Received(msgspec.Struct, frozen=True):
    """A number of payments, and what they come to."""

    payments: int
    amount: str


class CurrencyView(msgspec.Struct, frozen=True, kw_only=True):
    """All accounts of one currency: balance = credit - receivable - unbilled.

    `ledgers` is the trial balance (debits are positive), which sums to zero; `today` are the
    payments received on this UTC day.
    """

    currency: str
    accounts: int
    accounts_by_status: dict[AccountStatus, int]
    accounts_by_mode: dict[PaymentMode, int]
    balance: str
    credit: str
    receivable: str
    unbilled: str
    revenue: str
    ledgers: dict[str, str]
    today: dict[PaymentStatus, Received]


class Overview(msgspec.Struct, frozen=True):
    """The whole as of one moment, and how much there is for staff to look at."""

    at: datetime
    currencies: list[CurrencyView]
    review: ReviewCounts


class AccountSummary(msgspec.Struct, frozen=True, kw_only=True):
    """An account of a customer: what it has, owes and paid."""

    account: str
    currency: str
    payment_mode: PaymentMode
    status: AccountStatus
    balance: str
    credit: str
    receivable: str
    unbilled: str
    paid: str
    returned: str
    last_payment_at: datetime | None
    subscribers: int


class CustomerSummary(msgspec.Struct, frozen=True):
    """The accounts of a customer."""

    customer: str
    accounts: list[AccountSummary]


class StatisticsQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """From `since` on, before `until`: days in `time_zone`."""

    since: date
    until: date
    step: Step = Step.DAY
    time_zone: Annotated[str, Meta(examples=["Europe/Berlin"])] = "UTC"


class TurnoverView(msgspec.Struct, frozen=True):
    """What transactions of a kind did to the balances of customers in a part of the period."""

    starts_on: date
    currency: str
    kind: Kind
    amount: str
    transactions: int


class Statistics(msgspec.Struct, frozen=True):
    """Turnover part by part; a part with nothing in it is left out."""

    data: list[TurnoverView]


async def overview(call: Call[Nothing, Nothing]) -> Overview:
    """Read the whole."""
    found = [_currency(each) for each in await figures.overview(call.conn, call.now)]
    return Overview(call.now, found, await counts(call.conn))


async def summary(call: Call[Nothing, Nothing]) -> CustomerSummary:
    """Read one customer's."""
    customer = call.path["customer"]
    await customers.get(call.conn, customer)
    same = ("account", "currency", "payment_mode", "status", "last_payment_at", "subscribers")
    amounts = ("balance", "credit", "receivable", "unbilled", "paid", "returned")
    views: list[AccountSummary] = []
    for each in await figures.customer_summary(call.conn, customer):
        values: dict[str, Any] = {name: getattr(each, name) for name in same}
        for name in amounts:
            values[name] = shown(getattr(each, f"{name}_micros"), each.currency)
        views.append(AccountSummary(**values))
    return CustomerSummary(customer, views)


async def statistics(call: Call[StatisticsQuery, Nothing]) -> Statistics:
    """Read what moved balances."""
    query = call.query
    zone = zoneinfo.ZoneInfo(time_zone(query.time_zone))
    found = await figures.statistics(call.conn, query.since, query.until, query.step, zone)
    return Statistics(
        [
            TurnoverView(
                each.starts_on,
                each.currency,
                each.kind,
                shown(each.micros, each.currency),
                each.transactions,
            )
            for each in found
        ]
    )


def _currency(of: figures.CurrencyOverview) -> CurrencyView:
    def money(micros: int) -> str:
        return shown(micros, of.currency)

    return CurrencyView(
        currency=of.currency,
        accounts=of.accounts,
        accounts_by_status=of.accounts_by_status,
        accounts_by_mode=of.accounts_by_mode,
        balance=money(of.balance_micros),
        credit=money(of.credit_micros),
        receivable=money(of.receivable_micros),
        unbilled=money(of.unbilled_micros),
        revenue=money(of.revenue_micros),
        ledgers={name: money(micros) for name, micros in of.ledgers_micros.items()},
        today={
            status: Received(each.payments, money(each.micros)) for status, each in of.today.items()
        },
    )


ENDPOINTS = (
    endpoint(
        "GET",
        "billing/overview",
        "Read the figures of all accounts",
        overview,
        roles=READERS,
        answer=Overview,
    ),
    endpoint(
        "GET",
        "billing/customers/{customer}/summary",
        "Read what a customer's accounts have, owe and paid",
        summary,
        roles=READERS,
        answer=CustomerSummary,
    ),
    endpoint(
        "GET",
        "billing/statistics",
        "Read what moved balances, by day, week or month",
        statistics,
        roles=READERS,
        query=StatisticsQuery,
        answer=Statistics,
    ),
)
