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
        start = self.tally.at
        pieces = self._pieces(start, until)
        weights = [self._weights(low, high) for low, high in pieces]
        flat = [seconds for piece in weights for seconds in piece]
        shares = tuple(
            iter(apportion(units, flat) if units else flat)
            for units in (usage.seconds, usage.octets_in, usage.octets_out)
        )
        opens = not self.tally.began
        for (low, high), piece in zip(pieces, weights, strict=True):
            cells: list[list[int]] = []
            for _ in piece:
                parts = [next(share) for share in shares]
                cells.append(
                    [
                        parts[0] if usage.seconds else 0,
                        parts[1] if usage.octets_in else 0,
                        parts[2] if usage.octets_out else 0,
                    ]
                )
            self._piece(low, high, cells, opens)
            opens = False
        return Priced(self.tally, self.charge, tuple(self.lines))

    def _weights(self, low: int, high: int) -> list[int]:
        if low < high:
            return self.calendar.seconds(low, high)
        at = self.calendar.at(low)  # usage in no time at all: that of a moment
        return [int(band == at) for band in range(self.calendar.count)]

    def _pieces(self, start: int, until: int) -> list[tuple[int, int]]:
        """Cut the time where a period, or a bucket, begins or ends."""
        cuts = {start, until}
        for bucket in self.pool.buckets:
            cuts.update((bucket.since, bucket.until))
        for allowance in self.plan.allowances:
            if allowance.period is Period.DAYS:
                cuts.update(self._days_cuts(allowance, start, until))
            else:
                cuts.update(self._period_cuts(allowance.period, start, until))
        if self.ready.tiered:
            cuts.update(self._period_cuts(self.plan.tariff.cycle, start, until))
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

    def _piece(self, low: int, high: int, cells: list[list[int]], opens: bool) -> None:
        """Price the usage of one piece of time: `cells` are the shares of each band."""
        self._renew(low)
        taken = dict[int, int]()
        events = self._demand(self._event_cells(low, opens))
        self._note_units(events)
        self._draw_seconds(low, high, cells, taken)
        octets = self._demand([[0, octets_in, octets_out] for _, octets_in, octets_out in cells])
        self._note_units(octets)
        self._draw(Unit.OCTETS, low, octets, taken)
        before = self.tally
        money = before.money_micros
        if opens:
            money += self._connect()
        for at, units in enumerate(self.units):
            if units != before.units[at]:
                money += self._charge_rule(at, low, taken.get(at, 0))
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

    def _event_cells(self, low: int, opens: bool) -> list[list[int]]:
        band = self.calendar.at(low) if opens else -1
        return [[-1, 0, 0] if at == band else [0, 0, 0] for at in range(self.calendar.count)]

    def _demand(self, cells: list[list[int]]) -> list[tuple[int, int, int]]:
        """The units of each rule and band: (rule, band, units), by band."""
        demand: list[tuple[int, int, int]] = []
        for band, (seconds, octets_in, octets_out) in enumerate(cells):
            if not (seconds or octets_in or octets_out):
                continue
            for at in self.table[band]:
                match self.plan.tariff.rules[at].counter:
                    case Counter.SECONDS:
                        units = max(seconds, 0)
                    case Counter.OCTETS_IN:
                        units = octets_in
                    case Counter.OCTETS_OUT:
                        units = octets_out
                    case Counter.OCTETS_TOTAL:
                        units = octets_in + octets_out
                    case Counter.EVENT:
                        units = 1 if seconds < 0 else 0
                if units:
                    demand.append((at, band, units))
        return demand

    def _note_units(self, demand: list[tuple[int, int, int]]) -> None:
        for at, _band, units in demand:
            self.units[at] += units

    def _draw_seconds(
        self, low: int, high: int, cells: list[list[int]], taken: dict[int, int]
    ) -> None:
        """Draw seconds in the order of time, halving it where that order matters."""
        demand = self._demand([[seconds, 0, 0] for seconds, _, _ in cells])
        self._note_units(demand)
        self._draw_in_time(low, high, demand, taken)

    def _draw_in_time(
        self, low: int, high: int, demand: list[tuple[int, int, int]], taken: dict[int, int]
    ) -> None:
        exact = high - low == sum(units for _, _, units in demand)
        if len(demand) < 2 or not exact or self._in_any_order(low, demand):
            self._draw(Unit.SECONDS, low, demand, taken)
            return
        middle = (low + high) // 2
        for start, end in ((low, middle), (middle, high)):
            part = self._demand([[units, 0, 0] for units in self._weights(start, end)])
            self._draw_in_time(start, end, part, taken)

    def _in_any_order(self, moment: int, demand: list[tuple[int, int, int]]) -> bool:
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

    def _draw(
        self, unit: Unit, moment: int, demand: list[tuple[int, int, int]], taken: dict[int, int]
    ) -> None:
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

    def _charge_rule(self, at: int, moment: int, taken: int) -> int:
        """The price of what a piece added to a rule."""
        rule, before = self.plan.tariff.rules[at], self.tally
        was = billed_units(rule, before.units[at] - before.covered[at])
        billed = billed_units(rule, self.units[at] - self.covered[at])
        counted = 0
        if rule.tiers:
            cycle, period = self.subject.cycle, self.plan.tariff.cycle
            group = f"{self.plan.name}/{self.ready.groups[at]}"
            count = self.pool.units(group, cycle.number(period, moment))
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
