"""Plan files: TOML as people write it, to rating.plan.Plan. Every fault is reported at once.

    [[plan]]
    name = "metered"
    currency = "EUR"

    [[plan.rule]]
    counter = "octets_total"
    price = "2.00"
    per = "GB"
    further = 1000

Amounts are decimal texts in currency units. Quantities are numbers (octets or seconds), or texts
such as "GB" and "100 MB". The keys of a plan are name, currency, policy, reserve_octets,
minimum_credit, connect_fee, minimum, maximum, at_maximum, zone, holidays and tier_period; those of
a rule counter, price, per, first and further (`first` is as `further`, unless it is given), bands,
services, name and tier_mode, with tiers under [[plan.rule.tier]]. Time bands, services and
allowances are under [[plan.band]], [[plan.service]] and [[plan.allowance]], when they are told of
under [[plan.threshold]]: see docs/rating.md.
"""

import tomllib
from pathlib import Path
from typing import Any, Final

import msgspec

from billing.catalogue import parts
from billing.catalogue.fields import Fault, Fields, Lines
from rating.access import PLAIN, Access
from rating.calendar import Period
from rating.plan import Plan, Policy
from rating.tariff import AtMaximum, Counter, Rule, Tariff, TariffError, TierMode

_PLAN_KEYS: Final = (
    *("name", "currency", "policy", "reserve_octets", "minimum_credit", "connect_fee", "minimum"),
    *("access", "rule", "maximum", "at_maximum", "zone", "holidays", "tier_period"),
    *("band", "service", "allowance", "threshold"),
)
_RULE_KEYS: Final = (
    *("counter", "price", "per", "first", "further", "bands", "services", "tier", "tier_mode"),
    "name",
)

#: A plan gets its version when it is loaded.
UNVERSIONED: Final = 1

# What stands in for a part with faults of its own, while the others are checked.
_STAND_IN_NAME: Final = "plan"
_STAND_IN_TARIFF: Final = Tariff("EUR", ())


class PlanFileError(Exception):
    """A plan file that cannot be used; `faults` names every fault."""

    def __init__(self, faults: list[Fault]) -> None:
        assert faults
        self.faults = tuple(faults)
        super().__init__("\n".join(str(fault) for fault in faults))


def read_plans(path: Path) -> list[Plan]:
    """Return the plans of a file. Raises PlanFileError, also when it cannot be read."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise PlanFileError([Fault(str(path), None, "", f"cannot be read: {reason}")]) from error
    return parse_plans(text, str(path))


def parse_plans(text: str, file: str) -> list[Plan]:
    """Return the plans of a text; `file` is where it comes from. Raises PlanFileError."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise PlanFileError([Fault(file, None, "", f"is not TOML: {error}")]) from error
    lines = Lines(text)
    top = Fields(document, Fault(file, None, "", ""), {}, [])
    top.refuse_unknown(("plan",))
    tables = top.tables("plan", "plan")
    if not tables and not top.faults:
        top.fault("plan", "there is no [[plan]]")
    faults = top.faults
    plans = [_plan(table, index, lines, file, faults) for index, table in enumerate(tables)]
    names = [table.get("name") for table in tables]
    for index, name in enumerate(names):
        if isinstance(name, str) and name in names[:index]:
            faults.append(
                Fault(file, lines.of_plan(index), name, "there are two plans of that name")
            )
    if faults:
        raise PlanFileError(sorted(faults, key=lambda fault: fault.line or 0))
    return plans


def _plan(table: dict[str, Any], index: int, lines: Lines, file: str, faults: list[Fault]) -> Plan:
    """The plan of a table; if it has faults, they are noted, and it is not to be used."""
    label = table.get("name")
    if not isinstance(label, str) or not label:
        label = f"number {index + 1}"
    place = Fault(file, lines.of_plan(index), label, "")
    fields = Fields(table, place, lines.of_plan_keys(index), faults)
    fields.refuse_unknown(_PLAN_KEYS)
    rules = [
        _rule(rule, fields, lines.of_rule_keys(index, number), number)
        for number, rule in enumerate(fields.tables("rule", "plan.rule"))
    ]
    try:
        tariff = Tariff(
            currency=fields.text("currency", _STAND_IN_TARIFF.currency),
            rules=tuple(rule for rule in rules if rule is not None),
            connect_fee_micros=fields.amount("connect_fee", default=0),
            minimum_micros=fields.amount("minimum", default=0),
            maximum_micros=fields.amount("maximum", default=0) if "maximum" in table else None,
            at_maximum=fields.one_of("at_maximum", AtMaximum, AtMaximum.FREE) or AtMaximum.FREE,
            bands=parts.bands_of(fields),
            holidays=parts.holidays_of(fields, table),
            services=parts.services_of(fields),
            zone=parts.zone_of(fields, table),
            cycle=fields.one_of("tier_period", Period, Period.CYCLE) or Period.CYCLE,
        )
    except TariffError as error:
        tariff = _STAND_IN_TARIFF
        _note(error, fields)
    name = fields.text("name", _STAND_IN_NAME)
    policy = fields.one_of("policy", Policy, Policy.BALANCED)
    access = _access(fields, faults, lines.of_plan_keys(index))
    reserve_octets = fields.quantity("reserve_octets", "octets", default=10_000_000)
    minimum_credit = fields.amount("minimum_credit", default=0)
    allowances = parts.allowances_of(fields)
    thresholds = parts.thresholds_of(fields, allowances)
    assert policy is not None
    try:
        return Plan(
            name,
            UNVERSIONED,
            tariff,
            policy,
            reserve_octets,
            minimum_credit,
            allowances=allowances,
            thresholds=thresholds,
            access=access,
        )
    except TariffError as error:
        _note(error, fields)
        return Plan(_STAND_IN_NAME, UNVERSIONED, tariff)


def _access(plan: Fields, faults: list[Fault], key_lines: dict[str, int]) -> Access:
    """What the table `access` of a plan says; what it does not say is as it is by default."""
    table = plan.table("access", "plan.access")
    place = msgspec.structs.replace(plan.place, line=key_lines.get("access", plan.place.line))
    fields = Fields(table, place, {}, faults, prefix="access: ")
    before = len(faults)
    fields.refuse_unknown(Access.__struct_fields__)
    if len(faults) > before:
        return PLAIN
    try:
        access = msgspec.convert(table, Access)
    except msgspec.ValidationError as error:
        fields.fault("", str(error))
        return PLAIN
    for fault in access.faults():
        fields.fault("", fault)
    return access if len(faults) == before else PLAIN


def _rule(
    table: dict[str, Any], plan: Fields, key_lines: dict[str, int], number: int
) -> Rule | None:
    """The rule of a table; None, and its faults noted, if it cannot be one."""
    place = msgspec.structs.replace(plan.place, line=key_lines.get("", plan.place.line))
    fields = Fields(table, place, key_lines, plan.faults, prefix=f"rule {number + 1}: ")
    before = len(plan.faults)
    fields.refuse_unknown(_RULE_KEYS)
    counter = fields.one_of("counter", Counter, None)
    kind = "seconds" if counter is Counter.SECONDS else "octets"
    tiers = parts.tiers_of(fields, kind)
    price = fields.amount("price", default=0 if tiers else None)
    per = fields.quantity("per", kind, default=1)
    further = fields.quantity("further", kind, default=1)
    first = fields.quantity("first", kind, default=further)
    if len(plan.faults) > before:
        return None
    assert counter is not None
    tier_mode = fields.one_of("tier_mode", TierMode, TierMode.GRADUATED)
    assert tier_mode is not None
    rule = Rule(
        counter,
        price,
        per,
        first,
        further,
        bands=parts.texts(fields, table, "bands", ()),
        services=parts.texts(fields, table, "services", ()),
        tiers=tiers,
        tier_mode=tier_mode,
        name=fields.text("name", "") if "name" in table else "",
    )
    for fault in rule.faults():
        fields.fault("", fault)
    return rule if len(plan.faults) == before else None


def _note(error: TariffError, fields: Fields) -> None:
    """Note the faults of a part, each at the key that it begins with, if it does."""
    for fault in error.faults:
        fields.fault(fault.split(" ", 1)[0].removesuffix("_micros"), fault)
