"""The parts of a plan file that not every plan has: bands, services, tiers, allowances."""

import re
from datetime import date
from typing import Any, Final, cast
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from billing.catalogue.fields import Fields
from rating.allowance import Allowance, Scope, Unit
from rating.calendar import WEEKDAYS, Band, Period
from rating.tariff import MATCHED, Counter, Service, Tier
from rating.threshold import Threshold

_TIME: Final = re.compile(r"([01]\d|2[0-3]):([0-5]\d)")
_BAND_KEYS: Final = ("name", "days", "from", "to", "weight")
_SERVICE_KEYS: Final = ("name", *MATCHED)
_TIER_KEYS: Final = ("up_to", "price")
_THRESHOLD_KEYS: Final = ("allowance", "percent", "left")
_ALLOWANCE_KEYS: Final = (
    *("name", "unit", "amount", "priority", "period", "days", "rollover", "shared"),
    *("counters", "bands", "services"),
)


def part(table: dict[str, Any], plan: Fields, what: str, number: int) -> Fields:
    """Return the fields of a table within a plan; its faults name it, at the plan's line."""
    place = msgspec.structs.replace(plan.place)
    return Fields(table, place, {}, plan.faults, prefix=f"{what} {number + 1}: ")


def bands_of(plan: Fields) -> tuple[Band, ...]:
    """Return the time bands of a plan."""
    made: list[Band] = []
    for number, table in enumerate(plan.tables("band", "plan.band")):
        fields = part(table, plan, "band", number)
        fields.refuse_unknown(_BAND_KEYS)
        made.append(
            Band(
                name=fields.text("name", "band"),
                days=texts(fields, table, "days", WEEKDAYS),
                start=_time(fields, table, "from"),
                end=_time(fields, table, "to"),
                weight=fields.quantity("weight", "seconds", default=0),
            )
        )
    return tuple(made)


def services_of(plan: Fields) -> tuple[Service, ...]:
    """Return the services of a plan."""
    made: list[Service] = []
    for number, table in enumerate(plan.tables("service", "plan.service")):
        fields = part(table, plan, "service", number)
        fields.refuse_unknown(_SERVICE_KEYS)
        match = {key: texts(fields, table, key, ()) for key in MATCHED if key in table}
        made.append(Service(fields.text("name", "service"), match))
    return tuple(made)


def tiers_of(rule: Fields, kind: str) -> tuple[Tier, ...]:
    """Return the tiers of a rule, whose counter is of a kind."""
    made: list[Tier] = []
    for number, table in enumerate(rule.tables("tier", "plan.rule.tier")):
        fields = part(table, rule, "tier", number)
        fields.refuse_unknown(_TIER_KEYS)
        up_to = None
        if "up_to" in table:
            up_to = fields.quantity(
                "up_to", "seconds" if kind == "seconds" else "octets", default=1
            )
        made.append(Tier(up_to, fields.amount("price")))
    return tuple(made)


def allowances_of(plan: Fields) -> tuple[Allowance, ...]:
    """Return the allowances of a plan."""
    made: list[Allowance] = []
    for number, table in enumerate(plan.tables("allowance", "plan.allowance")):
        fields = part(table, plan, "allowance", number)
        fields.refuse_unknown(_ALLOWANCE_KEYS)
        unit = fields.one_of("unit", Unit, None)
        period = fields.one_of("period", Period, Period.CYCLE)
        if unit is None or period is None:
            continue
        counters = texts(fields, table, "counters", ())
        unknown = [counter for counter in counters if counter not in list(Counter)]
        if unknown:
            fields.fault(
                "counters", f"counters: {unknown[0]!r} is none, allowed are {', '.join(Counter)}"
            )
        made.append(
            Allowance(
                name=fields.text("name", "allowance"),
                unit=unit,
                amount=_units(fields, table, "amount", unit, None),
                priority=fields.quantity("priority", "seconds", default=100),
                period=period,
                days=fields.quantity("days", "seconds", default=0),
                rollover=_units(fields, table, "rollover", unit, 0),
                scope=Scope(
                    tuple(Counter(each) for each in counters if each not in unknown),
                    texts(fields, table, "bands", ()),
                    texts(fields, table, "services", ()),
                ),
                shared=_flag(fields, table, "shared", default=True),
            )
        )
    return tuple(made)


def thresholds_of(plan: Fields, allowances: tuple[Allowance, ...]) -> tuple[Threshold, ...]:
    """Return when it is told that a plan's allowances run out."""
    units = {allowance.name: allowance.unit for allowance in allowances}
    made: list[Threshold] = []
    for number, table in enumerate(plan.tables("threshold", "plan.threshold")):
        fields = part(table, plan, "threshold", number)
        fields.refuse_unknown(_THRESHOLD_KEYS)
        name = fields.text("allowance", "allowance")
        left = percent = None
        if "left" in table:
            left = _units(fields, table, "left", units.get(name, Unit.OCTETS), None)
        if "percent" in table:
            percent = fields.quantity("percent", "seconds", default=0)
        made.append(Threshold(name, percent, left))
    return tuple(made)


def texts(
    fields: Fields, table: dict[str, Any], key: str, default: tuple[str, ...]
) -> tuple[str, ...]:
    """Return a list of texts; a fault is noted for anything else."""
    value = table.get(key)
    if value is None:
        return default
    if isinstance(value, list):
        items = cast("list[Any]", value)
        if all(isinstance(each, str) for each in items):
            return tuple(items)
    fields.fault(key, f'{key} is to be a list of texts, such as {key} = ["a", "b"]')
    return default


def zone_of(fields: Fields, table: dict[str, Any]) -> str:
    """Return the time zone of a plan's bands, which must be known here."""
    value = table.get("zone", "UTC")
    try:
        ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, TypeError, OSError):
        fields.fault("zone", f"zone is {value!r}, allowed is an IANA zone such as Europe/Berlin")
        return "UTC"
    return value


def holidays_of(fields: Fields, table: dict[str, Any]) -> tuple[date, ...]:
    """Return the holidays of a plan: dates, as TOML writes them."""
    value: Any = table.get("holidays", [])
    if isinstance(value, list):
        items = cast("list[Any]", value)
        if all(type(each) is date for each in items):
            return tuple(sorted(items))
    fields.fault("holidays", "holidays is to be a list of dates, such as [2026-12-25]")
    return ()


def _units(fields: Fields, table: dict[str, Any], key: str, unit: Unit, default: int | None) -> int:
    if unit is Unit.MONEY:
        return fields.amount(key, default=default)
    if default is None and key not in table:
        fields.fault(key, f"{key} is missing")
    kind = "seconds" if unit is Unit.SECONDS else "octets"
    return fields.quantity(key, kind, default=default or 0)


def _time(fields: Fields, table: dict[str, Any], key: str) -> int:
    """Minutes of the day; midnight if it is not told."""
    value = table.get(key, "00:00")
    match = _TIME.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        fields.fault(key, f"{key} is {value!r}, allowed is a time of day, 00:00 to 23:59")
        return 0
    return int(match.group(1)) * 60 + int(match.group(2))


def _flag(fields: Fields, table: dict[str, Any], key: str, *, default: bool) -> bool:
    value = table.get(key, default)
    if not isinstance(value, bool):
        fields.fault(key, f"{key} is {value!r}, allowed is true or false")
        return default
    return value
