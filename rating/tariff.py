"""What prices usage: a tariff is data, checked as a whole when it is created."""

import enum
from datetime import date

import msgspec

from rating.calendar import Band, Period
from rating.money import EXPONENTS, MAX_MICROS

#: No counter goes beyond this, by RFC 2869 (Gigawords), nor does what is kept of it.
MAX_OCTETS = 2**63 - 1

#: What a tariff must be able to price within MAX_MICROS: a day at 100 Gbit/s in each direction.
DAY_OF_OCTETS, DAY_OF_SECONDS = 12_500_000_000 * 86_400, 86_400

#: Nothing that is sold is priced or stepped in larger units; beyond it is a slip of the pen.
MAX_UNITS = 10**15


class Counter(enum.StrEnum):
    """What a rule counts.

    `octets_total` counts both directions together; `event` is 1 for a session that used anything.
    """

    SECONDS = "seconds"
    OCTETS_IN = "octets_in"
    OCTETS_OUT = "octets_out"
    OCTETS_TOTAL = "octets_total"
    EVENT = "event"

    @property
    def most_a_day(self) -> int:
        """The most units that a session can use in a day."""
        if self is Counter.EVENT:
            return 1
        if self is Counter.SECONDS:
            return DAY_OF_SECONDS
        return DAY_OF_OCTETS * (2 if self is Counter.OCTETS_TOTAL else 1)


class TariffError(ValueError):
    """A tariff that cannot be; `faults` names every one of them."""

    def __init__(self, name: str, faults: list[str]) -> None:
        super().__init__(f"tariff {name!r}: " + "; ".join(faults))
        self.faults = tuple(faults)


class TierMode(enum.StrEnum):
    """How tiers price the units of a cycle.

    Graduated: the units within each tier at that tier's price. Volume: all of them at the price of
    the tier that the last one is in; where the total would fall by that, it stays until it rises
    again, so that no charge is negative.
    """

    GRADUATED = "graduated"
    VOLUME = "volume"


class Tier(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A price for the units of a cycle up to `up_to` (included; None: all further ones)."""

    up_to: int | None
    price_micros: int


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The price of one counter, in some time bands and services (none named: in all).

    `price_micros` is asked for each `per_units` units. Units are billed in steps: the first
    `first_units` as a whole, then every further `further_units` as a whole, counted over the
    session (so a report does not begin a new step).

    With `tiers` the price depends on the units billed in the cycle, of all the account's sessions
    and of all rules with the same `name`, and `price_micros` is not used.
    """

    counter: Counter
    price_micros: int
    per_units: int = 1
    first_units: int = 1
    further_units: int = 1
    bands: tuple[str, ...] = ()
    services: tuple[str, ...] = ()
    tiers: tuple[Tier, ...] = ()
    tier_mode: TierMode = TierMode.GRADUATED
    name: str = ""

    def faults(self) -> list[str]:
        """Return what is wrong, each with the allowed range; empty when the rule can be used."""
        ranges = (
            ("price_micros", self.price_micros, 0, MAX_MICROS),
            ("per_units", self.per_units, 1, MAX_UNITS),
            ("first_units", self.first_units, 1, MAX_UNITS),
            ("further_units", self.further_units, 1, MAX_UNITS),
            *(("a tier's price_micros", tier.price_micros, 0, MAX_MICROS) for tier in self.tiers),
        )
        faults = [
            f"rule for {self.counter}: {name} is {value}, allowed is {low} to {high}"
            for name, value, low, high in ranges
            if not low <= value <= high
        ]
        faults += [f"rule for {self.counter}: {fault}" for fault in self._tier_faults()]
        if not faults and self._dearest() * self.counter.most_a_day > MAX_MICROS * self.per_units:
            faults.append(
                f"rule for {self.counter}: a day at 100 Gbit/s would cost more than"
                f" {MAX_MICROS} micros, which is the most that can be charged"
            )
        return faults

    def _dearest(self) -> int:
        return max((tier.price_micros for tier in self.tiers), default=self.price_micros)

    def _tier_faults(self) -> list[str]:
        if not self.tiers:
            return []
        *inner, last = (tier.up_to for tier in self.tiers)
        faults: list[str] = []
        if last is not None:
            faults.append("the last tier must be without up_to")
        bounds = [0 if bound is None else bound for bound in inner]
        if any(bound <= before for before, bound in zip([0, *bounds], bounds, strict=False)):
            faults.append("up_to of the tiers must be above 0 and rise from tier to tier")
        if any(bound > MAX_OCTETS for bound in bounds):
            faults.append(f"up_to is beyond {MAX_OCTETS}")
        if self.price_micros:
            faults.append("a rule has a price or tiers, not both")
        return faults


class Service(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A class of sessions with prices of its own, known by what their first record says.

    `match` maps an attribute (nas, by its name; realm, called_station, port_type, class) to
    patterns, one of which must fit: `*` stands for anything, and case does not count. All
    attributes named must fit. The first service of a tariff that fits is the session's.
    """

    name: str
    match: dict[str, tuple[str, ...]]

    def faults(self) -> list[str]:
        """Return what is wrong, each with what is allowed."""
        faults = [
            f"service {self.name}: {key} is not known, allowed are {', '.join(MATCHED)}"
            for key in self.match
            if key not in MATCHED
        ]
        if not self.name:
            faults.append("a service needs a name")
        if not self.match or not all(self.match.values()):
            faults.append(f"service {self.name}: nothing is told that it could be known by")
        return faults


#: What services are told apart by.
MATCHED = ("nas", "realm", "called_station", "port_type", "class")


class AtMaximum(enum.StrEnum):
    """What becomes of a session that costs the tariff's maximum."""

    FREE = "free"
    CUT = "cut"


class Tariff(msgspec.Struct, frozen=True, forbid_unknown_fields=True, dict=True):
    """Prices in one currency. Creating a faulty one raises TariffError with every fault named.

    `connect_fee_micros` is charged once for a session that used anything; `minimum_micros` is the
    least such a session costs, the connect fee included, and `maximum_micros` the most. A session
    that used nothing is free.

    Of the rules for a counter, the first in order that names a moment's band and the session's
    service (or names none) prices it; a counter without such a rule is free.

    `zone` (IANA) and `holidays` are for the bands; an account may have a zone of its own. `cycle`
    is what tiers count over.
    """

    currency: str
    rules: tuple[Rule, ...]
    connect_fee_micros: int = 0
    minimum_micros: int = 0
    maximum_micros: int | None = None
    at_maximum: AtMaximum = AtMaximum.FREE
    bands: tuple[Band, ...] = ()
    holidays: tuple[date, ...] = ()
    services: tuple[Service, ...] = ()
    zone: str = "UTC"
    cycle: Period = Period.CYCLE

    def __post_init__(self) -> None:
        faults = [fault for rule in self.rules for fault in rule.faults()]
        faults += [fault for band in self.bands for fault in band.faults()]
        faults += [fault for service in self.services for fault in service.faults()]
        if self.currency not in EXPONENTS:
            faults.append(f"currency is {self.currency!r}, allowed is an ISO 4217 code such as EUR")
        for name in ("connect_fee_micros", "minimum_micros", "maximum_micros"):
            value = getattr(self, name)
            if value is not None and not 0 <= value <= MAX_MICROS:
                faults.append(f"{name} is {value}, allowed is 0 to {MAX_MICROS}")
        if self.maximum_micros is not None and self.maximum_micros < max(
            self.minimum_micros, self.connect_fee_micros
        ):
            faults.append("maximum_micros is below the minimum or the connect fee")
        if self.cycle in (Period.DAYS, Period.ONCE):
            faults.append("cycle is not a period of the calendar: cycle, month, week or day")
        faults += self._names() + self._unreachable() + self._tier_groups()
        if faults:
            raise TariffError(self.currency, faults)

    @property
    def simple(self) -> bool:
        """Whether the price of a session is a function of its counters alone."""
        return not (
            self.bands
            or self.services
            or self.maximum_micros is not None
            or any(rule.tiers or rule.counter is Counter.EVENT for rule in self.rules)
        )

    def _names(self) -> list[str]:
        faults: list[str] = []
        for what, named in (
            ("band", [band.name for band in self.bands]),
            ("service", [service.name for service in self.services]),
        ):
            faults += [
                f"there are {named.count(name)} {what}s {name}, allowed is one"
                for name in sorted(set(named))
                if named.count(name) > 1
            ]
            for rule in self.rules:
                faults += [
                    f"rule for {rule.counter}: there is no {what} {name}"
                    for name in getattr(rule, f"{what}s")
                    if name not in named
                ]
        return faults

    def _unreachable(self) -> list[str]:
        """The rules that would never price anything, because earlier ones do."""
        faults: list[str] = []
        for at, rule in enumerate(self.rules):
            covered = {
                (band, service)
                for earlier in self.rules[:at]
                if earlier.counter is rule.counter
                for band in self._or_all(earlier.bands, self.bands)
                for service in self._or_all(earlier.services, self.services)
            }
            own = {
                (band, service)
                for band in self._or_all(rule.bands, self.bands)
                for service in self._or_all(rule.services, self.services)
            }
            if own <= covered:
                faults.append(
                    f"rule {at + 1} never holds: earlier rules for {rule.counter} cover its bands"
                    " and services; allowed is one for each"
                )
        return faults

    def _tier_groups(self) -> list[str]:
        tiers = {rule.name: rule for rule in reversed(self.rules) if rule.tiers and rule.name}
        return [
            f"rule for {rule.counter}: rules named {rule.name} count together, and so must have the"
            " same counter, tiers, per_units and tier_mode"
            for rule in self.rules
            if rule.tiers and rule.name and _tier_terms(rule) != _tier_terms(tiers[rule.name])
        ]

    @staticmethod
    def _or_all(named: tuple[str, ...], all_: tuple[Band, ...] | tuple[Service, ...]) -> list[str]:
        return list(named) or ["", *(one.name for one in all_)]


def _tier_terms(rule: Rule) -> tuple[object, ...]:
    return rule.counter, rule.tiers, rule.per_units, rule.tier_mode
