"""A tariff made ready for pricing: which rules hold where, once for all its charges."""

import re
from collections.abc import Mapping
from datetime import tzinfo
from fnmatch import translate
from typing import Final, NamedTuple

from rating.calendar import Calendar
from rating.tariff import Counter, Rule, Tariff, TierMode

_CACHED: Final = "_compiled"


class Chosen(NamedTuple):
    """The numbers of the rules that price a service in a band, by what they count."""

    events: tuple[int, ...]
    seconds: tuple[int, ...]
    octets: tuple[int, ...]


class Compiled:
    """The rules of a tariff by service and band, and its calendars by zone.

    `bands` are the names of the bands, from 1 on; band 0, that of no name, is the rest of the time.
    """

    def __init__(self, tariff: Tariff) -> None:
        self.tariff = tariff
        self.bands = ("", *(band.name for band in tariff.bands))
        self.simple = tariff.simple
        self.tiered = any(rule.tiers for rule in tariff.rules)
        self.groups = tuple(rule.name or f"#{at}" for at, rule in enumerate(tariff.rules))
        self._tables: dict[str, tuple[Chosen, ...]] = {}
        self._calendars: dict[tzinfo, Calendar] = {}
        self._services = tuple(
            (
                service.name,
                tuple(
                    (key, re.compile("|".join(translate(one) for one in patterns), re.IGNORECASE))
                    for key, patterns in service.match.items()
                ),
            )
            for service in tariff.services
        )

    def calendar(self, zone: tzinfo) -> Calendar:
        """Return the bands in a zone."""
        found = self._calendars.get(zone)
        if found is None:
            found = Calendar(self.tariff.bands, self.tariff.holidays, zone)
            self._calendars[zone] = found
        return found

    def rules(self, service: str) -> tuple[Chosen, ...]:
        """Return the rules that price a service, for each band."""
        found = self._tables.get(service)
        if found is None:
            found = tuple(self._of_band(service, band) for band in self.bands)
            self._tables[service] = found
        return found

    def service_of(self, facts: Mapping[str, str]) -> str:
        """Return the service of a session by what its record says; empty if none fits."""
        for name, wanted in self._services:
            if all(pattern.fullmatch(facts.get(key, "")) for key, pattern in wanted):
                return name
        return ""

    def _of_band(self, service: str, band: str) -> Chosen:
        chosen: dict[Counter, int] = {}
        for at, rule in enumerate(self.tariff.rules):
            if (not rule.bands or band in rule.bands) and (
                not rule.services or service in rule.services
            ):
                chosen.setdefault(rule.counter, at)
        events, seconds = chosen.pop(Counter.EVENT, None), chosen.pop(Counter.SECONDS, None)
        return Chosen(
            () if events is None else (events,),
            () if seconds is None else (seconds,),
            tuple(sorted(chosen.values())),
        )


def compiled(tariff: Tariff) -> Compiled:
    """Return a tariff made ready, kept with it."""
    kept = vars(tariff)
    found = kept.get(_CACHED)
    if found is None:
        found = kept[_CACHED] = Compiled(tariff)
    return found


def tier_total(rule: Rule, units: int) -> int:
    """Return the micros that so many billed units of a cycle cost by a rule's tiers.

    Rounded once, to the nearest, halves up. It never falls as the units grow.
    """
    total, best, floor = 0, 0, 0
    for tier in rule.tiers:
        bound = tier.up_to
        within = units if bound is None or units < bound else bound
        if rule.tier_mode is TierMode.VOLUME:
            total = within * tier.price_micros
        else:
            total += (within - floor) * tier.price_micros
        best = max(best, total)
        if bound is None or units <= bound:
            break
        floor = bound
    return (2 * best + rule.per_units) // (2 * rule.per_units)
