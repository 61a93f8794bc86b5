"""Random plans with all that a tariff may have, and whose usage they price.

Made from a seed, and not draw by draw: that is ten times as fast, so that many more are tried.
"""

import random
from collections.abc import Sequence
from datetime import date, datetime, timezone
from typing import TypeVar
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

from rating.allowance import Allowance, Scope, Unit
from rating.calendar import HOLIDAY, WEEKDAYS, Band, Cycle, Period
from rating.plan import Plan
from rating.quantity import Counters
from rating.tally import Subject
from rating.tariff import Counter, Rule, Service, Tariff, TariffError, Tier, TierMode
from tests.rating.strategies import dearest

ZONES = tuple(
    ZoneInfo(name)
    for name in (
        "UTC",
        "Europe/Berlin",
        "America/New_York",
        "Australia/Lord_Howe",  # half an hour of summer time
        "Asia/Kathmandu",  # a quarter hour
        "Africa/Casablanca",
        "America/Santiago",  # changes at midnight
    )
)

#: Moments that are special somewhere: changes of summer time, leap days, the ends of years.
SPECIAL = tuple(
    int(datetime(*when, tzinfo=timezone.utc).timestamp())  # noqa: UP017
    for when in (
        (2026, 3, 29, 1),
        (2026, 10, 25, 1),
        (2026, 3, 8, 7),
        (2026, 11, 1, 6),
        (2026, 4, 4, 15),
        (2024, 2, 29, 0),
        (2024, 3, 1, 0),
        (2026, 12, 31, 23),
        (2026, 9, 6, 4),
    )
)
HOLIDAYS = (date(2026, 3, 29), date(2026, 12, 31), date(2024, 2, 29))

_T = TypeVar("_T")


class Case:
    """A plan, whose usage it prices, and when the session begins; `usage` makes reports."""

    def __init__(
        self,
        seed: int,
        counted: Sequence[Counter] = tuple(Counter),
        *,
        banded: bool = True,
        granting: bool = True,
    ) -> None:
        self._seed = seed
        self._random = random.Random(seed)
        self.plan = self._plan(counted, banded=banded, granting=granting)
        self.subject = Subject(
            Cycle(self._one_of(ZONES), self._one_of([1, 1, 8, 25, 29, 31])),
            "amy",
            self._one_of(["", "wifi"]),
        )
        self.anchor = self._one_of(SPECIAL) + self._int(-90_000, 90_000)
        if self._random.random() < 0.25:
            self.anchor = self._int(10**9, 2 * 10**9)

    def __repr__(self) -> str:
        return f"Case({self._seed}: {self.plan}, {self.subject}, {self.anchor})"

    def usage(self, most_reports: int, most_seconds: int) -> list[Counters]:
        """Some reports' usage."""
        return [
            Counters(
                self._one_of([0, self._int(0, 60), self._int(0, most_seconds)]),
                self._octets(),
                self._octets(),
            )
            for _ in range(self._int(1, most_reports))
        ]

    def apart(self) -> int:
        """How much later, or earlier, another session of the account begins."""
        return self._int(-90_000, 90_000)

    def _int(self, low: int, high: int) -> int:
        return self._random.randint(low, high)

    def _one_of(self, choices: Sequence[_T]) -> _T:
        return self._random.choice(choices)

    def _some_of(self, choices: Sequence[_T], most: int) -> tuple[_T, ...]:
        return tuple(self._random.sample(choices, self._int(0, min(most, len(choices)))))

    def _octets(self) -> int:
        return self._one_of([0, self._int(0, 5_000), self._int(0, 2**40), self._int(0, 2**61)])

    def _plan(self, counted: Sequence[Counter], *, banded: bool, granting: bool) -> Plan:
        bands = tuple(
            Band(
                name=name,
                days=self._some_of((*WEEKDAYS, HOLIDAY), 7) or (*WEEKDAYS, HOLIDAY),
                start=self._one_of([0, 60, 120, 125, 480, 1080, 1320, 1439]),
                end=self._one_of([0, 1, 150, 180, 360, 480, 1080, 1320]),
                weight=self._int(0, 2),
            )
            for name in ("day", "night", "peak")[: self._int(0, 3) if banded else 0]
        )
        services = self._some_of([Service("wifi", {"realm": ("wifi*",)})], 1)
        names = [band.name for band in bands]
        rules: list[Rule] = []
        for _ in range(self._int(1, 5)):
            rules.append(self._rule(self._one_of(counted), names, [one.name for one in services]))
            try:
                Tariff("EUR", tuple(rules), bands=bands, services=services)
            except TariffError:
                rules.pop()  # it could never hold
        tariff = Tariff(
            currency="EUR",
            rules=tuple(rules),
            connect_fee_micros=self._one_of([0, 0, 50_000]),
            minimum_micros=self._one_of([0, 0, 200_000]),
            maximum_micros=self._one_of([None, None, 200_000, 3_000_000]),
            bands=bands,
            holidays=HOLIDAYS,
            services=services,
            cycle=self._one_of([Period.CYCLE, Period.MONTH, Period.WEEK, Period.DAY]),
        )
        allowances = tuple(
            self._allowance(name, names)
            for name in ("a", "b", "c")[: self._int(0, 3) if granting else 0]
        )
        return Plan("rich", 1, tariff, allowances=allowances)

    def _rule(self, counter: Counter, bands: Sequence[str], services: Sequence[str]) -> Rule:
        per_units = self._one_of([1, 7, 60, 3600, 10**6, 2**30])
        most = dearest(counter, per_units)
        tiers: tuple[Tier, ...] = ()
        if self._random.random() < 0.4:
            bounds = sorted(self._some_of([1, 2, 60, 600, 3600, 10**6, 10**9], 3))
            tiers = tuple(Tier(bound, self._int(0, most)) for bound in (*bounds, None))
        return Rule(
            counter=counter,
            price_micros=0 if tiers else self._int(0, most),
            per_units=per_units,
            first_units=self._one_of([1, 30, 60, 1000]),
            further_units=self._one_of([1, 6, 60, 1000]),
            bands=self._some_of(bands, 2),
            services=self._some_of(services, 1),
            tiers=tiers,
            tier_mode=self._one_of(list(TierMode)),
        )

    def _allowance(self, name: str, bands: Sequence[str]) -> Allowance:
        unit = self._one_of(list(Unit))
        counters: tuple[Counter, ...] = ()
        if unit is Unit.OCTETS:
            counters = self._some_of(
                [Counter.OCTETS_IN, Counter.OCTETS_OUT, Counter.OCTETS_TOTAL], 2
            )
        period = self._one_of([each for each in Period if each is not Period.DAYS])
        return Allowance(
            name=name,
            unit=unit,
            amount=self._one_of([0, 1, 100, 1_000, 3_000, 10**6, 10**9]),
            priority=self._one_of([1, 2, 100]),
            period=period,
            rollover=0 if period is Period.ONCE else self._one_of([0, 0, 500, 10**6]),
            scope=Scope() if unit is Unit.MONEY else Scope(counters, self._some_of(bands, 1)),
        )


seeds = st.integers(0, 2**64)
