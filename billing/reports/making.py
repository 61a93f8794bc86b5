"""The reports by name. Money is summed from the ledger, or from what adds up to it.

Nothing is posted into the past: a transaction is dated when it is written, so that the figures of a
month that is over stay, and usage that is settled late is of the month it is settled in.
"""

import enum
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

import msgspec

from billing.database import Connection
from billing.errors import InvalidInput
from billing.offers.offer import Offer
from billing.reports.table import Report, report
from billing.statements import load
from rating.money import Rounding, divide

SQL = load(__package__, "queries.sql")

#: Longest period of a report, so that none reads a whole history by accident.
MAX_DAYS: Final = 800
#: How many who used most are told.
LEADERS: Final = 1000
#: A session that was not heard of for so long is stale.
_SILENCE: Final = timedelta(days=1)


class Name(enum.StrEnum):
    """The reports there are.

    JOURNAL: the accounting export. RECEIVABLES, LEAKAGE, MRR and DEFERRED are of one moment, the
    last day of the period or now; the others of the period.
    """

    JOURNAL = "journal"
    REVENUE = "revenue"
    TAX = "tax-postings"
    RECEIVABLES = "receivables"
    MRR = "mrr"
    DEFERRED = "deferred"
    USAGE_LEADERS = "usage-leaders"
    LEAKAGE = "leakage"


class Asked(msgspec.Struct, frozen=True):
    """A period from `first` on, before `until`: days in `zone`; and what time it is."""

    first: date
    until: date
    zone: ZoneInfo
    now: datetime

    @property
    def since(self) -> datetime:
        """When it begins."""
        return datetime.combine(self.first, time.min, self.zone).astimezone(UTC)

    @property
    def before(self) -> datetime:
        """When it has ended."""
        return datetime.combine(self.until, time.min, self.zone).astimezone(UTC)

    @property
    def last(self) -> date:
        """Its last day."""
        return self.until - timedelta(days=1)


async def make(conn: Connection, name: Name, asked: Asked) -> Report:
    """Return a report, all of it as of one moment. Raises InvalidInput for an impossible period."""
    if not 0 < (asked.until - asked.first).days <= MAX_DAYS:
        raise InvalidInput(
            f"a report from {asked.first} until {asked.until}: allowed are 1 to {MAX_DAYS} days"
        )
    async with conn.transaction(isolation="repeatable_read", readonly=True):
        return await _MAKERS[name](conn, asked)


def _of_period(name: Name, statement: str, *columns: str) -> "_Maker":
    """A report that is a statement over the period."""

    async def made(conn: Connection, asked: Asked) -> Report:
        rows = await conn.fetch(SQL[statement], asked.since, asked.before, asked.zone.key)
        return report(name, columns, [dict(row) for row in rows])

    return made


async def _receivables(conn: Connection, asked: Asked) -> Report:
    """What is owed on invoices now: the ledger of receivables, by account and age."""
    today = asked.now.astimezone(asked.zone).date()
    columns = ("account", "currency", "total_micros", "not_due_micros", "to_30_micros")
    columns += ("to_60_micros", "to_90_micros", "over_90_micros")
    found = await conn.fetch(SQL["receivables"], today)
    return report(Name.RECEIVABLES, columns, [dict(row) for row in found])


async def _mrr(conn: Connection, asked: Asked) -> Report:
    """What the services that run on the last day bring in a month, a twelfth of a year."""
    rows: list[Mapping[str, Any]] = []
    for row in await conn.fetch(SQL["recurring"], asked.last):
        offer = msgspec.json.decode(row["definition"], type=Offer)
        monthly = divide(offer.per_year_micros() * row["quantity"], 12, Rounding.HALF_UP)
        rows.append(
            {
                "offer": offer.name,
                "version": offer.version,
                "currency": offer.currency,
                "services": row["quantity"],
                "monthly_micros": monthly,
            }
        )
    columns = ("offer", "version", "currency", "services", "monthly_micros")
    return report(Name.MRR, columns, rows)


async def _deferred(conn: Connection, asked: Asked) -> Report:
    """Of what was invoiced until the last day, what is for days after it: by the day, rounded down.

    What is earned of a line is the rest of its net amount.
    """
    rows: list[Mapping[str, Any]] = []
    for row in await conn.fetch(SQL["deferred"], asked.last):
        begin = max(row["service_from"] or asked.until, asked.until)
        days = (row["service_until"] - (row["service_from"] or asked.until)).days
        coming = divide(
            row["net_micros"] * (row["service_until"] - begin).days, days, Rounding.DOWN
        )
        rows.append({**dict(row), "deferred_micros": coming})
    columns = ("number", "account", "currency", "description", "service_from", "service_until")
    return report(Name.DEFERRED, (*columns, "net_micros", "deferred_micros"), rows)


async def _leaders(conn: Connection, asked: Asked) -> Report:
    """Who used most, by what it cost."""
    columns = ("username", "account", "currency", "plan", "octets", "seconds", "charged_micros")
    found = await conn.fetch(SQL["leaders"], asked.since, asked.before, LEADERS)
    return report(Name.USAGE_LEADERS, columns, [dict(row) for row in found])


async def _leakage(conn: Connection, asked: Asked) -> Report:
    """Where money is lost or lies still, as of now."""
    columns = ("leak", "subject", "currency", "cases", "amount_micros")
    found = await conn.fetch(SQL["leakage"], asked.now - _SILENCE)
    return report(Name.LEAKAGE, columns, [dict(row) for row in found])


_Maker = Callable[[Connection, Asked], Awaitable[Report]]

_MAKERS: Final[Mapping[Name, _Maker]] = {
    Name.JOURNAL: _of_period(
        *(Name.JOURNAL, "journal", "day", "ledger", "kind", "currency"),
        *("debit_micros", "credit_micros"),
    ),
    Name.REVENUE: _of_period(
        *(Name.REVENUE, "revenue", "kind", "plan", "nas", "currency", "amount_micros")
    ),
    Name.TAX: _of_period(Name.TAX, "taxes", "kind", "currency", "amount_micros"),
    Name.RECEIVABLES: _receivables,
    Name.MRR: _mrr,
    Name.DEFERRED: _deferred,
    Name.USAGE_LEADERS: _leaders,
    Name.LEAKAGE: _leakage,
}
