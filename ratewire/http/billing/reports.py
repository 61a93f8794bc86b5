"""Reports of the business over HTTP."""

from datetime import date
from zoneinfo import ZoneInfo

import msgspec

from billing.accounts.account import time_zone
from billing.documents.archive import File
from billing.errors import NotFound
from billing.reports.making import Asked, Name, make
from billing.reports.table import Report, to_csv
from ratewire.http.endpoint import MONEY, Call, Nothing, endpoint


class ReportQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """From a day on, before another: days of a time zone."""

    first: date
    until: date
    zone: str = "UTC"


class ReportView(msgspec.Struct, frozen=True):
    """A report. Money is a text in units of the row's currency, a day one in ISO 8601."""

    name: str
    columns: tuple[str, ...]
    rows: list[tuple[str | int | None, ...]]


async def read(call: Call[ReportQuery, Nothing]) -> ReportView:
    """Make one."""
    made = await _made(call)
    columns, rows = made.shown()
    told = [tuple(str(cell) if isinstance(cell, date) else cell for cell in row) for row in rows]
    return ReportView(made.name, columns, told)


async def as_csv(call: Call[ReportQuery, Nothing]) -> File:
    """Make one as CSV."""
    made = await _made(call)
    name = f"{made.name}-{call.query.first}-{call.query.until}.csv"
    return File(name, "text/csv", to_csv(made).encode())


async def _made(call: Call[ReportQuery, Nothing]) -> Report:
    query = call.query
    try:
        name = Name(call.path["report"])
    except ValueError as error:
        known = ", ".join(Name)
        raise NotFound(f"report {call.path['report']!r}: there are {known}") from error
    zone = ZoneInfo(time_zone(query.zone))
    return await make(call.conn, name, Asked(query.first, query.until, zone, call.now))


_ONE = "billing/reports/{report}"

ENDPOINTS = (
    endpoint(
        "GET",
        _ONE,
        "Make a report that adds up to the ledger",
        read,
        roles=MONEY,
        query=ReportQuery,
        answer=ReportView,
    ),
    endpoint(
        "GET",
        f"{_ONE}/csv",
        "Make a report as CSV",
        as_csv,
        roles=MONEY,
        query=ReportQuery,
        answer=File,
        media_types=("text/csv",),
    ),
)
