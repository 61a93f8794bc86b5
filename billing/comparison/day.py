"""A day's sessions rated once more: by the versions that charged them, and by another one.

Both begin alike, so that they can be compared: with full allowances, and no units of the cycle
counted before the day; each session stands at the counters that it had before its first report of
the day. So the amount by its own versions differs from what was charged where an account had
already used some of its allowances or tiers. Nothing is changed by it.
"""

from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

import asyncpg
import msgspec

from billing.database import Connection
from billing.errors import InvalidInput
from billing.sessions.explain import plan_versions
from billing.statements import load
from rating.calendar import Cycle
from rating.charge import billed_units as billed
from rating.charge import rule_amount, units_of
from rating.plan import Plan
from rating.pool import Pool, decode_pool
from rating.quantity import Counters
from rating.tally import Subject, Tally, add

_SQL = load(__package__, "queries.sql")
_decode_tally: Final = msgspec.msgpack.Decoder(Tally).decode

#: Rows that are read at once.
_PREFETCH: Final = 2_000


class Difference(msgspec.Struct, frozen=True):
    """One account's day: what was charged, and its price by its own versions and by another."""

    account: str
    records: int
    charged_micros: int
    before_micros: int
    after_micros: int

    @property
    def difference_micros(self) -> int:
        """How much more the other version asks for."""
        return self.after_micros - self.before_micros


class Comparison(msgspec.Struct, frozen=True):
    """A day on a plan, by account; the totals are those of all accounts."""

    day: date
    plan: str
    currency: str
    accounts: list[Difference]
    total: Difference


async def compare(conn: Connection, day: date, plan: Plan) -> Comparison:
    """Rate the sessions of a local day (in the plan's zone) that were on a plan of this name.

    `plan` is the version to compare with: one of the catalogue, or one that is not sold yet. Must
    be called in a transaction. Raises InvalidInput for another currency than the sessions' were.
    """
    zone = ZoneInfo(plan.tariff.zone)
    start = datetime.combine(day, time(), zone).astimezone(UTC)
    end = datetime.combine(day + timedelta(days=1), time(), zone).astimezone(UTC)
    accounts: list[Difference] = []
    current: _Account | None = None
    versions: dict[int, Plan] = {}
    async for row in conn.cursor(_SQL["used_on"], plan.name, start, end, prefetch=_PREFETCH):
        if row["currency"] != plan.tariff.currency:
            raise InvalidInput(
                f"the sessions of that day were in {row['currency']}, the plan is in"
                f" {plan.tariff.currency}"
            )
        version = row["plan_version"]
        if version not in versions:
            versions[version] = (await plan_versions(conn, [(plan.name, version)]))[
                plan.name, version
            ]
        if current is None or current.name != row["account_id"]:
            if current is not None:
                accounts.append(current.difference())
            current = _Account(row)
        current.take(row, versions[version], plan)
    if current is not None:
        accounts.append(current.difference())
    total = Difference(
        "",
        sum(each.records for each in accounts),
        sum(each.charged_micros for each in accounts),
        sum(each.before_micros for each in accounts),
        sum(each.after_micros for each in accounts),
    )
    return Comparison(day, plan.name, plan.tariff.currency, accounts, total)


class _Side:
    """An account's day by one choice of versions."""

    def __init__(self) -> None:
        self.pool = Pool()
        self.tallies: dict[UUID, Tally] = {}
        self.micros = 0

    def take(self, row: asyncpg.Record, plan: Plan, pool: Pool) -> None:
        uid, usage, after = row["session_uid"], _usage(row), _after(row)
        tally = self.tallies.get(uid)
        if tally is None:
            tally = _standing(plan, row, after - usage)
        zone = ZoneInfo(pool.zone or plan.tariff.zone)
        lasted = row["base_seconds"] + after.seconds
        until = tally.anchor + lasted if lasted else _seconds(row["event_at"])
        subject = Subject(Cycle(zone, pool.billing_day), row["username"], tally.service)
        priced = add(plan, tally, usage, until, self.pool, subject)
        self.tallies[uid] = priced.tally
        self.micros += priced.charge_micros


class _Account:
    def __init__(self, row: asyncpg.Record) -> None:
        self.name: str = row["account_id"]
        self._place = Pool() if row["pool"] is None else decode_pool(row["pool"])
        self._before, self._after = _Side(), _Side()
        self._records = self._charged = 0

    def take(self, row: asyncpg.Record, old: Plan, new: Plan) -> None:
        self._records += 1
        self._charged += row["charged_micros"]
        self._before.take(row, old, self._place)
        self._after.take(row, new, self._place)

    def difference(self) -> Difference:
        return Difference(
            self.name, self._records, self._charged, self._before.micros, self._after.micros
        )


def _standing(plan: Plan, row: asyncpg.Record, used: Counters) -> Tally:
    """The tally of a session that used so much before the day, none of it by allowances."""
    rules = plan.tariff.rules
    units = tuple(units_of(rule.counter, used) for rule in rules)
    began = bool(used)
    money = sum(
        rule_amount(rule, billed(rule, each)) for rule, each in zip(rules, units, strict=True)
    )
    anchor = _seconds(row["started_at"])
    return Tally(
        anchor=anchor,
        at=anchor + row["base_seconds"] + used.seconds,
        units=units,
        covered=(0,) * len(rules),
        money_micros=money + (plan.tariff.connect_fee_micros if began else 0),
        began=began,
        service="" if row["tally"] is None else _decode_tally(row["tally"]).service,
    )


def _usage(row: asyncpg.Record) -> Counters:
    return Counters(row["seconds"], row["octets_in"], row["octets_out"])


def _after(row: asyncpg.Record) -> Counters:
    return Counters(row["used_seconds"], row["used_octets_in"], row["used_octets_out"])


def _seconds(moment: datetime) -> int:
    return int(moment.timestamp())
