"""Figures for staff. Money is summed from the ledger, so what is shown is what is booked."""

import enum
from collections import defaultdict
from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import msgspec

from billing.accounts.account import AccountStatus, PaymentMode
from billing.database import Connection
from billing.errors import InvalidInput
from billing.ledger.chart import Ledger
from billing.ledger.transaction import Kind
from billing.payments.payment import PaymentStatus
from billing.statements import load

SQL = load(__package__, "queries.sql")

#: Longest period of statistics, so that one question reads no whole history by accident.
MAX_DAYS: Final = 800


class Money(msgspec.Struct, frozen=True):
    """A number of payments, and what they come to (micros)."""

    payments: int
    micros: int


class CurrencyOverview(msgspec.Struct, frozen=True):
    """All accounts of one currency at one moment, in micros.

    `credit_micros` is what customers have and we owe them, `receivable_micros` what documents still
    ask for, `unbilled_micros` usage on no document yet; so the balances of all accounts are
    `balance_micros` = credit - receivable - unbilled. `ledgers_micros` is the trial balance (debits
    are positive); it sums to zero. `today` is of the payments received on this UTC day, by status.
    """

    currency: str
    accounts: int
    accounts_by_status: dict[AccountStatus, int]
    accounts_by_mode: dict[PaymentMode, int]
    balance_micros: int
    credit_micros: int
    receivable_micros: int
    unbilled_micros: int
    revenue_micros: int
    ledgers_micros: dict[str, int]
    today: dict[PaymentStatus, Money]


class AccountSummary(msgspec.Struct, frozen=True):
    """One account of a customer, in micros; see `CurrencyOverview` for what the parts are.

    `paid_micros` are its payments that succeeded, `returned_micros` what of those went back.
    """

    account: str
    currency: str
    payment_mode: PaymentMode
    status: AccountStatus
    balance_micros: int
    credit_micros: int
    receivable_micros: int
    unbilled_micros: int
    paid_micros: int
    returned_micros: int
    last_payment_at: datetime | None
    subscribers: int


class Step(enum.StrEnum):
    """How long each part of a statistic is; weeks begin on Monday."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"


class Turnover(msgspec.Struct, frozen=True):
    """What transactions of a kind did to the balances of customers in a part of a period (micros).

    All kinds of all parts together are by how much the sum of the balances changed.
    """

    starts_on: date
    currency: str
    kind: Kind
    micros: int
    transactions: int


async def overview(conn: Connection, now: datetime) -> list[CurrencyOverview]:
    """Return the figures of each currency that there are accounts in, as of one moment."""
    midnight = datetime.combine(now.astimezone(UTC).date(), time.min, UTC)
    async with conn.transaction(isolation="repeatable_read", readonly=True):
        totals = await conn.fetch(SQL["totals"])
        accounts = await conn.fetch(SQL["accounts"])
        paid = await conn.fetch(SQL["payments"], midnight, midnight + timedelta(days=1))
    ledgers: defaultdict[str, dict[str, int]] = defaultdict(dict)
    for row in totals:
        ledgers[row["currency"]][row["name"]] = row["micros"]
    found: list[CurrencyOverview] = []
    for currency in sorted({row["currency"] for row in accounts}):
        there = ledgers[currency]
        mine = [row for row in accounts if row["currency"] == currency]
        credit = -there.get(Ledger.CUSTOMER_CREDIT.name.lower(), 0)
        receivable = there.get(Ledger.RECEIVABLE.name.lower(), 0)
        unbilled = there.get(Ledger.UNBILLED_USAGE.name.lower(), 0)
        found.append(
            CurrencyOverview(
                currency=currency,
                accounts=sum(row["accounts"] for row in mine),
                accounts_by_status={
                    status: sum(row["accounts"] for row in mine if row["status"] == status)
                    for status in AccountStatus
                },
                accounts_by_mode={
                    mode: sum(row["accounts"] for row in mine if row["payment_mode"] == mode)
                    for mode in PaymentMode
                },
                balance_micros=credit - receivable - unbilled,
                credit_micros=credit,
                receivable_micros=receivable,
                unbilled_micros=unbilled,
                revenue_micros=-there.get(Ledger.REVENUE.name.lower(), 0),
                ledgers_micros={
                    ledger.name.lower(): there.get(ledger.name.lower(), 0) for ledger in Ledger
                },
                today={
                    PaymentStatus(row["status"]): Money(row["payments"], row["micros"])
                    for row in paid
                    if row["currency"] == currency
                },
            )
        )
    return found


async def customer_summary(conn: Connection, customer: str) -> list[AccountSummary]:
    """Return the accounts of a customer with what they have, owe and paid; none if it has none."""
    return [
        AccountSummary(
            account=row["account_id"],
            currency=row["currency"],
            payment_mode=PaymentMode(row["payment_mode"]),
            status=AccountStatus(row["status"]),
            balance_micros=row["credit_micros"] - row["receivable_micros"] - row["unbilled_micros"],
            credit_micros=row["credit_micros"],
            receivable_micros=row["receivable_micros"],
            unbilled_micros=row["unbilled_micros"],
            paid_micros=row["paid_micros"],
            returned_micros=row["returned_micros"],
            last_payment_at=row["last_payment_at"],
            subscribers=row["subscribers"],
        )
        for row in await conn.fetch(SQL["of_customer"], customer)
    ]


async def statistics(
    conn: Connection, first: date, until: date, step: Step, zone: ZoneInfo
) -> list[Turnover]:
    """Return what moved balances from `first` on, before `until` (days in `zone`), part by part.

    A part with nothing in it is left out. Raises InvalidInput for a period that is empty or longer
    than MAX_DAYS.
    """
    if not 0 < (until - first).days <= MAX_DAYS:
        raise InvalidInput(
            f"statistics from {first} until {until}: allowed are 1 to {MAX_DAYS} days"
        )
    since, before = (
        datetime.combine(day, time.min, zone).astimezone(UTC) for day in (first, until)
    )
    return [
        Turnover(
            row["starts_on"], row["currency"], Kind(row["kind"]), row["micros"], row["transactions"]
        )
        for row in await conn.fetch(SQL["turnover"], since, before, step, zone.key)
    ]
