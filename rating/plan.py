"""What is sold: a tariff with the policy for reserving credit and for ending a session."""

import enum

import msgspec

from rating.access import PLAIN, Access
from rating.allowance import Allowance
from rating.money import MAX_MICROS
from rating.tariff import MAX_UNITS, Tariff, TariffError
from rating.threshold import Threshold


class Policy(enum.StrEnum):
    """When a session whose credit runs out between two reports is cut.

    Seconds are known exactly at every moment, octets only when the NAS reports. So the deadline of
    an octet tariff is a forecast: early enough never to overspend at the plan's reserve rate
    (strict), when the recent burn rate says so (balanced; the reserve rate until there is one), or
    only once a report shows the credit gone (lenient). A deadline that seconds alone decide is
    exact under every policy.
    """

    STRICT = "strict"
    BALANCED = "balanced"
    LENIENT = "lenient"


class Plan(msgspec.Struct, frozen=True, forbid_unknown_fields=True, dict=True):
    """One version of a plan; it never changes, a change is a new version.

    `reserve_octets` is what is set aside for the first slice of a session, and the least for any
    later one, in each direction. `minimum_credit_micros` must be available for a session
    to begin at all, so that a subscriber without credit does not log in again and again. `access`
    is what a login is given besides; `thresholds` say when it is told that allowances run out.

    A running session keeps the version that it began with.
    """

    name: str
    version: int
    tariff: Tariff
    policy: Policy = Policy.BALANCED
    reserve_octets: int = 10_000_000
    minimum_credit_micros: int = 0
    allowances: tuple[Allowance, ...] = ()
    access: Access = PLAIN
    thresholds: tuple[Threshold, ...] = ()

    def __post_init__(self) -> None:
        faults: list[str] = []
        if not self.name or len(self.name) > 64 or not self.name.isprintable() or " " in self.name:
            faults.append("name must be 1 to 64 printable characters without spaces")
        if not 0 <= self.reserve_octets <= MAX_UNITS:
            faults.append(f"reserve_octets is {self.reserve_octets}, allowed is 0 to {MAX_UNITS}")
        if not 0 <= self.minimum_credit_micros <= MAX_MICROS:
            faults.append(
                f"minimum_credit_micros is {self.minimum_credit_micros},"
                f" allowed is 0 to {MAX_MICROS}"
            )
        faults += self._allowance_faults()
        faults += self.access.faults()
        faults += self._threshold_faults()
        if faults:
            raise TariffError(self.name, faults)

    def _threshold_faults(self) -> list[str]:
        faults = [fault for threshold in self.thresholds for fault in threshold.faults()]
        named = {allowance.name for allowance in self.allowances}
        faults += [
            f"threshold: there is no allowance {threshold.allowance}"
            for threshold in self.thresholds
            if threshold.allowance not in named
        ]
        if len(set(self.thresholds)) < len(self.thresholds):
            faults.append("a threshold is there twice, allowed is once")
        return faults

    def _allowance_faults(self) -> list[str]:
        faults = [fault for allowance in self.allowances for fault in allowance.faults()]
        named = [allowance.name for allowance in self.allowances]
        faults += [
            f"allowance {name}: there are {named.count(name)} of that name, allowed is one"
            for name in sorted(set(named))
            if named.count(name) > 1
        ]
        bands = {band.name for band in self.tariff.bands}
        services = {service.name for service in self.tariff.services}
        for allowance in self.allowances:
            scope = allowance.scope
            faults += [
                f"allowance {allowance.name}: there is no {what} {name}"
                for what, wanted, known in (
                    ("band", scope.bands, bands),
                    ("service", scope.services, services),
                )
                for name in wanted
                if name not in known
            ]
        return faults
