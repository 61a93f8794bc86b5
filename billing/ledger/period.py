"""The statement of a period: what an account had, what moved it, what it has."""

from datetime import UTC, date, datetime, time
from zoneinfo import ZoneInfo

import msgspec

from billing.database import Connection
from billing.errors import InvalidInput
from billing.ledger.transaction import Kind
from billing.statements import load

SQL = load(__package__, "queries.sql")


class StatementLine(msgspec.Struct, frozen=True):
    """What changed the balance (money in is positive), and the balance after it, in micros.

    Usage is one line a day, with no transaction of its own. What moves within the account, as a
    payment put on an invoice, changes no balance and is no line.
    """

    at: datetime
    kind: Kind
    transaction_id: int | None
    description: str
    amount_micros: int
    balance_micros: int


class PeriodStatement(msgspec.Struct, frozen=True):
    """An account from `first` on, before `until` (local days in its time zone).

    `closing_micros` is `opening_micros` plus all lines, and the next period's opening.
    """

    account: str
    time_zone: str
    first: date
    until: date
    opening_micros: int
    closing_micros: int
    lines: list[StatementLine]


async def period(
    conn: Connection, account: str, first: date, until: date, zone: ZoneInfo
) -> PeriodStatement:
    """Return the statement of an account. Raises InvalidInput if the period is empty.

    All of it is read at one moment.
    """
    if first >= until:
        raise InvalidInput(f"a statement from {first} until {until}: allowed is a later end")
    since, before = _midnight(first, zone), _midnight(until, zone)
    async with conn.transaction(isolation="repeatable_read", readonly=True):
        opening: int = await conn.fetchval(SQL["opening"], account, since)
        rows = await conn.fetch(SQL["period"], account, since, before, zone.key)
    lines: list[StatementLine] = []
    balance = opening
    for row in rows:
        balance += row["amount_micros"]
        lines.append(
            StatementLine(
                row["at"],
                Kind(row["kind"]),
                row["transaction_id"],
                row["description"],
                row["amount_micros"],
                balance,
            )
        )
    return PeriodStatement(account, zone.key, first, until, opening, balance, lines)


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time.min, zone).astimezone(UTC)
