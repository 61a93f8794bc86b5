"""What prices usage: a tariff is data, checked as a whole when it is created."""

import enum

import msgspec

from rating.money import EXPONENTS, MAX_MICROS

#: Nothing that is sold is priced or stepped in larger units; beyond it is a slip of the pen.
MAX_UNITS = 10**15


class Counter(enum.StrEnum):
    """What a rule counts. `octets_total` counts both directions together."""

    SECONDS = "seconds"
    OCTETS_IN = "octets_in"
    OCTETS_OUT = "octets_out"
    OCTETS_TOTAL = "octets_total"


class TariffError(ValueError):
    """A tariff that cannot be; `faults` names every one of them."""

    def __init__(self, name: str, faults: list[str]) -> None:
        super().__init__(f"tariff {name!r}: " + "; ".join(faults))
        self.faults = tuple(faults)


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The price of one counter.

    `price_micros` is asked for each `per_units` units. Units are billed in steps: the first
    `first_units` as a whole, then every further `further_units` as a whole, counted over the
    session (so a report does not begin a new step).
    """

    counter: Counter
    price_micros: int
    per_units: int = 1
    first_units: int = 1
    further_units: int = 1

    def faults(self) -> list[str]:
        """Return what is wrong, each with the allowed range; empty when the rule can be used."""
        ranges = (
            ("price_micros", self.price_micros, 0, MAX_MICROS),
            ("per_units", self.per_units, 1, MAX_UNITS),
            ("first_units", self.first_units, 1, MAX_UNITS),
            ("further_units", self.further_units, 1, MAX_UNITS),
        )
        return [
            f"rule for {self.counter}: {name} is {value}, allowed is {low} to {high}"
            for name, value, low, high in ranges
            if not low <= value <= high
        ]


class Tariff(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Prices in one currency. Creating a faulty one raises TariffError with every fault named.

    `connect_fee_micros` is charged once for a session that used anything; `minimum_micros` is the
    least such a session costs, the connect fee included. A session that used nothing is free.
    """

    currency: str
    rules: tuple[Rule, ...]
    connect_fee_micros: int = 0
    minimum_micros: int = 0

    def __post_init__(self) -> None:
        faults = [fault for rule in self.rules for fault in rule.faults()]
        if self.currency not in EXPONENTS:
            faults.append(f"currency is {self.currency!r}, allowed is an ISO 4217 code such as EUR")
        for name in ("connect_fee_micros", "minimum_micros"):
            value = getattr(self, name)
            if not 0 <= value <= MAX_MICROS:
                faults.append(f"{name} is {value}, allowed is 0 to {MAX_MICROS}")
        counted = [rule.counter for rule in self.rules]
        faults += [
            f"there are {counted.count(counter)} rules for {counter}, allowed is one"
            for counter in Counter
            if counted.count(counter) > 1
        ]
        if faults:
            raise TariffError(self.currency, faults)
