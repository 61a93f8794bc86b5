"""What a session costs, computed as naively as can be: second by second, in exact fractions.

It shares no code with the product but the tariff's data, and is only for short sessions. Money is
rounded where the documents say so: on running totals, to the nearest micro, halves up.
"""

from collections import Counter as Counter_
from datetime import date, datetime, timedelta, tzinfo
from fractions import Fraction
from typing import Any

from rating.allowance import Allowance, Unit
from rating.calendar import HOLIDAY, WEEKDAYS, Period
from rating.plan import Plan
from rating.quantity import Counters
from rating.tariff import Counter, Rule, TierMode

Key = tuple[object, ...]


def nearest(amount: Fraction) -> int:
    """Halves up."""
    return (amount + Fraction(1, 2)).__floor__()


def band_of(plan: Plan, moment: int, zone: tzinfo) -> str:
    """The band of a second, by looking at a clock on the wall."""
    local = datetime.fromtimestamp(moment, zone)
    found: list[tuple[int, int, str]] = []
    for back in (0, 1):
        day = local.date() - timedelta(days=back)
        kind = HOLIDAY if day in plan.tariff.holidays else WEEKDAYS[day.weekday()]
        minute = local.hour * 60 + local.minute + back * 1440
        for number, band in enumerate(plan.tariff.bands):
            end = band.end + (1440 if band.end <= band.start else 0)
            if kind in band.days and band.start <= minute < end:
                found.append((band.weight, -number, band.name))
    return max(found)[2] if found else ""


def period_of(period: Period, moment: int, zone: tzinfo, billing_day: int) -> Key:
    """A key that is the same for the moments of one period, and sorts in time."""
    local = datetime.fromtimestamp(moment, zone).date()
    if period is Period.DAY:
        return (local.toordinal(),)
    if period is Period.WEEK:
        return ((local - timedelta(days=local.weekday())).toordinal(),)
    if period is Period.MONTH:
        return (local.year, local.month)
    if period is Period.CYCLE:
        day = local  # walk back to the day on which a cycle begins
        while day.day != min(billing_day, _last_day(day)):
            day -= timedelta(days=1)
        return (day.toordinal(),)
    return ()


def _last_day(day: date) -> int:
    first_of_next = (day.replace(day=28) + timedelta(days=4)).replace(day=1)
    return (first_of_next - timedelta(days=1)).day


class Oracle:
    """An account and one session of it."""

    def __init__(self, plan: Plan, zone: tzinfo, billing_day: int, service: str, anchor: int):
        self.plan, self.zone, self.billing_day, self.service = plan, zone, billing_day, service
        self.moment = anchor
        self.left: dict[tuple[str, Key], int] = {}
        self.counts: dict[tuple[object, ...], int] = {}
        self.paid = [0] * len(plan.tariff.rules)  # units that no allowance covered
        self.money = 0
        self.total = 0
        self.began = False
        self.charged = 0
        self.order: list[Allowance] = []

    def report(self, usage: Counters) -> int:
        """What a report costs that comes `usage.seconds` after the one before."""
        before = self.charged
        pieces: list[tuple[int, list[tuple[int, str]]]] = []
        key: Any = None
        moments = range(self.moment, self.moment + usage.seconds) or [self.moment]
        for moment in moments:
            now = self._piece_key(moment)
            if now != key:
                pieces.append((moment, []))
                key = now
            pieces[-1][1].append((moment, band_of(self.plan, moment, self.zone)))
        names = ["", *(band.name for band in self.plan.tariff.bands)]
        cells = [(at, band) for at in range(len(pieces)) for band in names]
        found = [Counter_(band for _, band in seconds) for _, seconds in pieces]
        weights = [found[at][band] for at, band in cells]
        shares = [
            dict(zip(cells, hamilton(units, weights), strict=True))
            for units in (usage.octets_in, usage.octets_out)
        ]
        for at, (first, seconds) in enumerate(pieces):
            self.order = self._in_order(first)
            self._open(first, seconds[0][1])
            if usage.seconds:
                for moment, band in seconds:
                    self._use(Counter.SECONDS, 1, band, moment)
            for band in names:
                octets_in, octets_out = (share[at, band] for share in shares)
                for rule in self._rules(band):
                    units = {
                        Counter.OCTETS_IN: octets_in,
                        Counter.OCTETS_OUT: octets_out,
                        Counter.OCTETS_TOTAL: octets_in + octets_out,
                    }.get(rule.counter, 0)
                    self._use(rule.counter, units, band, first)
            self._price(first)
        self.moment += usage.seconds
        return self.charged - before

    def _piece_key(self, moment: int) -> Key:
        periods = [each.period for each in self.plan.allowances]
        if any(rule.tiers for rule in self.plan.tariff.rules):
            periods.append(self.plan.tariff.cycle)
        return tuple(period_of(each, moment, self.zone, self.billing_day) for each in periods)

    def _rules(self, band: str) -> list[Rule]:
        chosen: dict[Counter, Rule] = {}
        for rule in self.plan.tariff.rules:
            if (not rule.bands or band in rule.bands) and (
                not rule.services or self.service in rule.services
            ):
                chosen.setdefault(rule.counter, rule)
        return sorted(chosen.values(), key=self.plan.tariff.rules.index)

    def _open(self, moment: int, band: str) -> None:
        for each in self.plan.allowances:
            key = period_of(each.period, moment, self.zone, self.billing_day)
            if (each.name, key) not in self.left:
                # Sessions here are shorter than any period: no period goes by unused.
                before = [known for name, known in self.left if name == each.name]
                rolled = 0
                if before:
                    rolled = min(self.left[each.name, max(before)], each.rollover)
                    self.left[each.name, max(before)] -= rolled
                self.left[each.name, key] = each.amount + rolled
        if not self.began:
            self.began = True
            self.money += self.plan.tariff.connect_fee_micros
            self._use(Counter.EVENT, 1, band, moment)

    def _use(self, counter: Counter, units: int, band: str, moment: int) -> None:
        for rule in self._rules(band):
            if rule.counter is not counter or not units:
                continue
            for each in self.order:
                fits = each.unit is (Unit.SECONDS if counter is Counter.SECONDS else Unit.OCTETS)
                scope = each.scope
                if (
                    fits
                    and counter is not Counter.EVENT
                    and (not scope.counters or counter in scope.counters)
                    and (not scope.bands or band in scope.bands)
                    and (not scope.services or self.service in scope.services)
                ):
                    key = (each.name, period_of(each.period, moment, self.zone, self.billing_day))
                    part = min(units, self.left[key])
                    self.left[key] -= part
                    units -= part
            at = self.plan.tariff.rules.index(rule)
            was = billed(rule, self.paid[at])
            self.paid[at] += units
            self._bill(at, rule, was, billed(rule, self.paid[at]), moment)

    def _in_order(self, moment: int) -> list[Allowance]:
        def end(each: Allowance) -> int:
            """The first quarter of an hour that is in another period."""
            if each.period is Period.ONCE:
                return 2**62
            key = period_of(each.period, moment, self.zone, self.billing_day)
            later = moment // 900
            while period_of(each.period, later * 900, self.zone, self.billing_day) <= key:
                later += 96 if each.period in (Period.CYCLE, Period.MONTH) else 1
            return later

        numbered = enumerate(self.plan.allowances)
        return [
            each
            for _, each in sorted(
                numbered, key=lambda pair: (pair[1].priority, end(pair[1]), pair[0])
            )
        ]

    def _bill(self, at: int, rule: Rule, was: int, is_: int, moment: int) -> None:
        if not rule.tiers:
            self.money += nearest(Fraction(is_ * rule.price_micros, rule.per_units)) - nearest(
                Fraction(was * rule.price_micros, rule.per_units)
            )
            return
        period = period_of(self.plan.tariff.cycle, moment, self.zone, self.billing_day)
        key = (rule.name or at, period)
        counted = self.counts.get(key, 0)
        self.counts[key] = counted + is_ - was
        self.money += tiers(rule, self.counts[key]) - tiers(rule, counted)

    def _price(self, moment: int) -> None:
        tariff = self.plan.tariff
        amount = max(self.money, tariff.minimum_micros)
        if tariff.maximum_micros is not None and amount > tariff.maximum_micros:
            amount = tariff.maximum_micros
        rose = amount - self.total
        self.total = amount
        for each in self.order:
            if each.unit is Unit.MONEY:
                key = (each.name, period_of(each.period, moment, self.zone, self.billing_day))
                part = min(rose, self.left[key])
                self.left[key] -= part
                rose -= part
        self.charged += rose


def billed(rule: Rule, units: int) -> int:
    """Whole steps, one after the other."""
    if not units:
        return 0
    further = Fraction(max(units - rule.first_units, 0), rule.further_units)
    return rule.first_units + further.__ceil__() * rule.further_units


def tiers(rule: Rule, units: int) -> int:
    """The price of the units of a cycle."""
    if rule.tier_mode is TierMode.VOLUME:
        # Of each number of units up to this one, what they would cost; the dearest of them.
        ends = [tier.up_to for tier in rule.tiers if tier.up_to is not None and tier.up_to < units]
        return max(nearest(Fraction(_volume(rule, end), rule.per_units)) for end in [*ends, units])
    cost, floor = Fraction(0), 0
    for tier in rule.tiers:
        top = units if tier.up_to is None else min(units, tier.up_to)
        if top > floor:
            cost += Fraction((top - floor) * tier.price_micros, rule.per_units)
            floor = top
    return nearest(cost)


def _volume(rule: Rule, units: int) -> int:
    for tier in rule.tiers:
        if tier.up_to is None or units <= tier.up_to:
            return units * tier.price_micros
    raise AssertionError(rule)


def hamilton(units: int, weights: list[int]) -> list[int]:
    """The largest-remainder rule, in fractions."""
    exact = [Fraction(units * weight, sum(weights)) for weight in weights]
    shares = [share.__floor__() for share in exact]
    while sum(shares) < units:
        rest = [share - whole for share, whole in zip(exact, shares, strict=True)]
        shares[rest.index(max(rest))] += 1
    return shares
