"""The running totals of a session whose price is not a function of its counters alone.

Usage is laid on the time axis: the session's second s is the moment `anchor` + s. It is cut where a
period begins or a bucket begins or ends; what lies in a time band is computed, seconds exactly,
octets in proportion to time (`rating.apportion`). Each rule has running units; what allowances do
not cover is billed in steps, and a charge is the difference of the totals after and before.
"""

import itertools
from collections.abc import Iterable, Iterator

import msgspec

from rating.allowance import Allowance, Bucket, Unit
from rating.apportion import apportion
from rating.calendar import DAY, Calendar, Cycle, Period
from rating.charge import Line, LineKind, billed_units, rule_amount, units_of
from rating.compiled import Compiled, compiled, tier_total
from rating.plan import Plan
from rating.pool import Pool
from rating.quantity import Counters
from rating.tariff import Counter, Rule
from rating.usage import Meter

# Named here for what is done for every record: see rating.money.
_OCTETS_IN, _OCTETS_OUT = Counter.OCTETS_IN, Counter.OCTETS_OUT

#: A band, with its share of the seconds, octets in and octets out of a piece of time.
_Cell = tuple[int, int, int, int]

#: A rule, the band in which it was asked for, and how many units.
_Demand = tuple[int, int, int]


class Tally(msgspec.Struct, frozen=True, array_like=True):
    """What a session has run up under one version of its plan.

    `units` and `covered` are, for each rule, what was used and what of it allowances paid.
    `money_micros` is the price of all that, with the connect fee, before the session's minimum and
    maximum. `at` is the moment up to which usage is priced. `began` tells that it used anything.
    `service` is the session's, as its first record named it.
    """

    anchor: int
    at: int
    units: tuple[int, ...]
    covered: tuple[int, ...]
    money_micros: int = 0
    began: bool = False
    service: str = ""


class Subject(msgspec.Struct, frozen=True):
    """Whose usage is priced: how periods lie for the account, the user name, and the service."""

    cycle: Cycle
    username: str = ""
    service: str = ""


class Sharing(msgspec.Struct):
    """What pricing needs when the price is not a function of the session's counters alone.

    `tally` is the session's before the report; None for one that begins, or that was priced by its
    counters so far. `pool` is the account's, and is changed by what the charge draws from it.
    """

    subject: Subject
    pool: Pool
    tally: Tally | None = None


class Priced(msgspec.Struct, frozen=True):
    """The price of some usage: the tally after it, the charge, and the lines that sum to it."""

    tally: Tally
    charge_micros: int
    lines: tuple[Line, ...]


def begin(plan: Plan, anchor: int, at: int | None = None, service: str = "") -> Tally:
    """Return the tally of a session that has not used anything, until `at`."""
    none = (0,) * len(plan.tariff.rules)
    return Tally(anchor, anchor if at is None else at, none, none, service=service)


def of_meter(plan: Plan, meter: Meter) -> Tally:
    """Return the tally of a session whose price was a function of its counters alone, so far."""
    rules, used = plan.tariff.rules, meter.used
    units = tuple(units_of(rule.counter, used) for rule in rules)
    money = sum(
        rule_amount(rule, billed_units(rule, each)) for rule, each in zip(rules, units, strict=True)
    )
    began = bool(used)
    return Tally(
        anchor=meter.started,
        at=meter.started + meter.marks.seconds if meter.marks.seconds else meter.last_event,
        units=units,
        covered=(0,) * len(rules),
        money_micros=money + (plan.tariff.connect_fee_micros if began else 0),
        began=began,
    )


def total(plan: Plan, tally: Tally) -> int:
    """Return what a session has run up, minimum and maximum applied. It never falls."""
    tariff = plan.tariff
    if not tally.began:
        return 0
    amount = max(tally.money_micros, tariff.minimum_micros)
    if tariff.maximum_micros is not None:
        amount = min(amount, tariff.maximum_micros)
    return amount


def add(
    plan: Plan, tally: Tally, usage: Counters, until: int, pool: Pool, subject: Subject
) -> Priced:
    """Price usage up to a moment. `pool` is changed by what it draws and counts."""
    return _Pricing(plan, tally, pool, subject).run(usage, max(until, tally.at))


class _Pricing:
    """One charge being computed."""

    def __init__(self, plan: Plan, tally: Tally, pool: Pool, subject: Subject) -> None:
        self.plan = plan
        self.tally = tally
        self.pool = pool
        self.subject = subject
        self.ready: Compiled = compiled(plan.tariff)
        self.calendar: Calendar = self.ready.calendar(subject.cycle.zone)
        self.table = self.ready.rules(subject.service)
        self.units = list(tally.units)
        self.covered = list(tally.covered)
        self.lines: list[Line] = []
        self.charge = 0

    def run(self, usage: Counters, until: int) -> Priced:
        pieces = self._pieces(self.tally.at, until)
        bands = [self._bands(low, high) for low, high in pieces]
        weights = [seconds for piece in bands for _, seconds in piece]
        shares = zip(
            *(
                apportion(units, weights) if units else itertools.repeat(0)
                for units in (usage.seconds, usage.octets_in, usage.octets_out)
            ),
            strict=False,
        )
        opens = not self.tally.began
        for (low, high), piece in zip(pieces, bands, strict=True):
            cells = [(band, *next(shares)) for band, _ in piece]
            self._piece(low, high, cells, opens)
            opens = False
        return Priced(self.tally, self.charge, tuple(self.lines))

    def _bands(self, low: int, high: int) -> list[tuple[int, int]]:
        """The bands of a stretch of time, each with its seconds."""
        if low == high:
            return [(self.calendar.at(low), 1)]  # usage in no time at all: that of a moment
        seconds = self.calendar.seconds(low, high)
        return [(band, part) for band, part in enumerate(seconds) if part]

    def _pieces(self, start: int, until: int) -> list[tuple[int, int]]:
        """Cut the time where a period, or a bucket, begins or ends."""
        cuts = {start, until}
        for bucket in self.pool.buckets:
            cuts.update((bucket.since, bucket.until))
        periods = {self.plan.tariff.cycle} if self.ready.tiered else set[Period]()
        for allowance in self.plan.allowances:
            if allowance.period is Period.DAYS:
                cuts.update(self._days_cuts(allowance, start, until))
            else:
                periods.add(allowance.period)
        for period in periods:
            cuts.update(self._period_cuts(period, start, until))
        ordered = sorted(cut for cut in cuts if start <= cut <= until)
        return list(itertools.pairwise(ordered)) or [(start, until)]

    def _period_cuts(self, period: Period, start: int, until: int) -> Iterator[int]:
        if period is Period.ONCE:
            return
        cycle = self.subject.cycle
        number = cycle.number(period, start) + 1
        while (cut := cycle.start(period, number)) < until:
            yield cut
            number += 1

    def _days_cuts(self, allowance: Allowance, start: int, until: int) -> Iterable[int]:
        owner = "" if allowance.shared else self.subject.username
        ends = (
            bucket.until
            for bucket in self.pool.buckets
            if bucket.name == allowance.name
            and bucket.plan == self.plan.name
            and bucket.owner == owner
        )
        length = allowance.days * DAY
        first = max(ends, default=start)
        return range(first + max(start - first, 0) // length * length, until, length)

    def _renew(self, moment: int) -> None:
        for allowance in self.plan.allowances:
            self.pool.renew(
                allowance, self.plan.name, self.subject.username, self.subject.cycle, moment
            )

    def _piece(self, low: int, high: int, cells: list[_Cell], opens: bool) -> None:
        """Price the usage of one piece of time."""
        self._renew(low)
        taken = dict[int, int]()
        if opens:
            self._note_units(self._events(low))
        timed = self._seconds([(band, seconds) for band, seconds, _, _ in cells])
        if timed:
            self._note_units(timed)
            self._draw_in_time(low, high, timed, taken)
        octets = self._octets(cells)
        self._note_units(octets)
        self._draw(Unit.OCTETS, low, octets, taken)
        before = self.tally
        money = before.money_micros
        if opens:
            money += self._connect()
        number = self.subject.cycle.number(self.plan.tariff.cycle, low) if self.ready.tiered else 0
        for at, (units, was) in enumerate(zip(self.units, before.units, strict=True)):
            if units != was:
                money += self._charge_rule(at, number, taken.get(at, 0))
        self.tally = Tally(
            before.anchor,
            high,
            tuple(self.units),
            tuple(self.covered),
            money,
            True,
            before.service,
        )
        self._settle(before, low)

    def _events(self, moment: int) -> list[_Demand]:
        """A session's start, to the rules of its band."""
        band = self.calendar.at(moment)
        return [(at, band, 1) for at in self.table[band].events]

    def _seconds(self, parts: list[tuple[int, int]]) -> list[_Demand]:
        table = self.table
        return [
            (at, band, seconds) for band, seconds in parts if seconds for at in table[band].seconds
        ]

    def _octets(self, cells: list[_Cell]) -> list[_Demand]:
        rules = self.plan.tariff.rules
        demand: list[_Demand] = []
        for band, _, octets_in, octets_out in cells:
            for at in self.table[band].octets:
                counter = rules[at].counter
                if counter is _OCTETS_IN:
                    units = octets_in
                elif counter is _OCTETS_OUT:
                    units = octets_out
                else:
                    units = octets_in + octets_out
                if units:
                    demand.append((at, band, units))
        return demand

    def _note_units(self, demand: list[_Demand]) -> None:
        for at, _band, units in demand:
            self.units[at] += units

    def _draw_in_time(
        self, low: int, high: int, demand: list[_Demand], taken: dict[int, int]
    ) -> None:
        """Draw seconds in the order of time, halving it where that order matters."""
        exact = high - low == sum(units for _, _, units in demand)
        if len(demand) < 2 or not exact or self._in_any_order(low, demand):
            self._draw(Unit.SECONDS, low, demand, taken)
            return
        middle = (low + high) // 2
        for start, end in ((low, middle), (middle, high)):
            part = self._seconds(self._bands(start, end))
            self._draw_in_time(start, end, part, taken)

    def _in_any_order(self, moment: int, demand: list[_Demand]) -> bool:
        """Whether each bucket has enough for all that would draw on it first."""
        buckets = self._buckets(Unit.SECONDS, moment)
        wanted = [0] * len(buckets)
        for at, band, units in demand:
            for number, bucket in enumerate(buckets):
                if self._covers(bucket, at, band):
                    wanted[number] += units
                    break
        return all(units <= bucket.left for units, bucket in zip(wanted, buckets, strict=True))

    def _buckets(self, unit: Unit, moment: int) -> list[Bucket]:
        return self.pool.usable(unit, self.plan.name, self.subject.username, moment)

    def _covers(self, bucket: Bucket, at: int, band: int) -> bool:
        counter = self.plan.tariff.rules[at].counter
        return bucket.scope.covers(counter, self.ready.bands[band], self.subject.service)

    def _draw(self, unit: Unit, moment: int, demand: list[_Demand], taken: dict[int, int]) -> None:
        if not demand:
            return
        buckets = self._buckets(unit, moment)
        for at, band, units in demand:
            left = units
            for bucket in buckets:
                if left and bucket.left and self._covers(bucket, at, band):
                    part = min(left, bucket.left)
                    self._take(bucket, part, self.plan.tariff.rules[at].counter)
                    left -= part
                    self.covered[at] += part
                    taken[at] = taken.get(at, 0) + part

    def _take(self, bucket: Bucket, part: int, counter: Counter | None) -> None:
        before = bucket.left
        bucket.left -= part
        self.lines.append(
            Line(
                LineKind.ALLOWANCE,
                -part if counter is None else 0,
                counter,
                part,
                allowance=bucket.name,
                left_before=before,
                left_after=bucket.left,
            )
        )

    def _connect(self) -> int:
        fee = self.plan.tariff.connect_fee_micros
        if fee:
            self.lines.append(Line(LineKind.CONNECT_FEE, fee))
        return fee

    def _charge_rule(self, at: int, number: int, taken: int) -> int:
        """The price of what a piece, in the period of a number, added to a rule."""
        rule, before = self.plan.tariff.rules[at], self.tally
        was = billed_units(rule, before.units[at] - before.covered[at])
        billed = billed_units(rule, self.units[at] - self.covered[at])
        counted = 0
        if rule.tiers:
            count = self.pool.units(f"{self.plan.name}/{self.ready.groups[at]}", number)
            counted = count.units
            count.units += billed - was
            amount = tier_total(rule, count.units) - tier_total(rule, counted)
        else:
            amount = rule_amount(rule, billed) - rule_amount(rule, was)
        self.lines.append(
            Line(
                LineKind.USAGE,
                amount,
                rule.counter,
                self.units[at] - before.units[at],
                billed - was,
                _price(rule, counted),
                rule.per_units,
                rule=at + 1,
                bands=rule.bands,
                covered_units=taken,
                cycle_units=counted,
            )
        )
        return amount

    def _settle(self, before: Tally, moment: int) -> None:
        """Charge what the totals rose by, promotional money first."""
        rose = total(self.plan, self.tally) - total(self.plan, before)
        priced = self.tally.money_micros - before.money_micros
        if rose != priced:
            self.lines += _adjustments(self.plan, before, self.tally)
        assert rose >= 0, (before, self.tally)
        for bucket in self._buckets(Unit.MONEY, moment) if rose else ():
            part = min(rose, bucket.left)
            self._take(bucket, part, None)
            rose -= part
            if not rose:
                break
        self.charge += rose


def _price(rule: Rule, counted: int) -> int:
    """The price that a usage line names: that of the tier of the first unit."""
    for tier in rule.tiers:
        if tier.up_to is None or counted < tier.up_to:
            return tier.price_micros
    return rule.price_micros


def _adjustments(plan: Plan, before: Tally, after: Tally) -> list[Line]:
    lines: list[Line] = []
    for kind, part in (
        (LineKind.MINIMUM, _missing(plan, after) - _missing(plan, before)),
        (LineKind.MAXIMUM, _waived(plan, before) - _waived(plan, after)),
    ):
        if part:
            lines.append(Line(kind, part))
    return lines


def _missing(plan: Plan, tally: Tally) -> int:
    """What is added to come up to the minimum."""
    return max(plan.tariff.minimum_micros - tally.money_micros, 0) if tally.began else 0


def _waived(plan: Plan, tally: Tally) -> int:
    """What is taken off to come down to the maximum."""
    return tally.money_micros + _missing(plan, tally) - total(plan, tally)
