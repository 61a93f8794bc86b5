"""What an account's services are to be billed for up to a day, from their histories. Pure.

The proposal is made anew each time, from what the services were and are; `difference` compares it
with what was billed before. So a run that is repeated bills nothing twice, and a change that
reaches into billed periods becomes a credit and a charge.
"""

from collections.abc import Iterator, Sequence
from datetime import date
from itertools import pairwise

import msgspec

from billing.coupons.discount import LineKind
from billing.cycles.calendar import Calendar, Change, Cycle, Part, Period, Unit
from billing.cycles.proration import DayCount
from billing.errors import Conflict
from billing.offers.offer import Offer, RecurringCharge, Timing


class Contradiction(Conflict):
    """A history that cannot be billed; the message says which and why. The account is parked."""


class Term(msgspec.Struct, frozen=True):
    """A service is on an offer from a local day on, before another (None: until further notice)."""

    starts_on: date
    ends_on: date | None
    offer: Offer
    quantity: int = 1


class Service(msgspec.Struct, frozen=True):
    """A service with its terms, in order. Between two terms it is paused, after the last ended."""

    service: int
    terms: tuple[Term, ...]


class Rate(msgspec.Struct, frozen=True):
    """What the days of a period cost: the price of all of it, and how a part is counted.

    What was billed at another rate than is proposed is credited and billed anew.
    """

    price_micros: int
    whole: Period
    unit: Unit
    day_count: DayCount
    prorated: bool = True


class Proposed(msgspec.Struct, frozen=True):
    """Days of a service that are to be billed for one charge, at a rate. `period` may be a part.

    Those that are not `due` yet belong to a term that is planned within a period that has begun:
    they are not billed now, but not given back either if they were billed with that period.
    """

    service: int
    charge: str
    kind: LineKind
    offer: str
    description: str
    tax_category: str
    period: Period
    rate: Rate
    due: bool = True


def propose(
    services: Sequence[Service], calendar: Calendar, *, since: date, until: date
) -> list[Proposed]:
    """Return what is to be billed on the day `until` or was before it, of periods that reach beyond
    `since`; with what is planned in those.

    A charge in advance is due when its period begins, one in arrears when it ends, or when the
    service does. Raises Contradiction.
    """
    proposed: list[Proposed] = []
    for service in services:
        check(service)
        for term, ends in _with_ends(service):
            for charge in term.offer.recurring:
                proposed += _recurring(service.service, term, ends, charge, calendar, since, until)
        proposed += _one_offs(service, until)
    return _without_repeats(proposed)


def check(service: Service) -> None:
    """Raise Contradiction if the terms of a service cannot be billed."""
    for term in service.terms:
        if term.ends_on is not None and term.ends_on <= term.starts_on:
            raise Contradiction(
                f"service {service.service} is on {term.offer.name} from {term.starts_on} until"
                f" {term.ends_on}, which is not later"
            )
        if term.quantity < 1:
            raise Contradiction(f"service {service.service} has a quantity of {term.quantity}")
    for before, after in pairwise(service.terms):
        if before.ends_on is None or before.ends_on > after.starts_on:
            raise Contradiction(
                f"service {service.service} is on {before.offer.name} and on {after.offer.name}"
                f" on {after.starts_on}"
            )


def calendar_of(charge: RecurringCharge, calendar: Calendar) -> Calendar:
    """Return the calendar of a charge: the account's, or with periods of the charge's own length
    that begin on the account's bill day.
    """
    if charge.every is None:
        return calendar
    return Calendar(
        tuple(
            Change(change.since, _with_unit(change.cycle, charge.every))
            for change in calendar.changes
        )
    )


def _with_unit(cycle: Cycle, unit: Unit) -> Cycle:
    if (unit is Unit.WEEK) != (cycle.unit is Unit.WEEK):
        return Cycle(unit)  # the day of a week says nothing of a month
    return Cycle(unit, cycle.day, cycle.month)


def _with_ends(service: Service) -> Iterator[tuple[Term, bool]]:
    """Each term, and whether the service is paused or ends with it."""
    terms = service.terms
    for index, term in enumerate(terms):
        following = terms[index + 1] if index + 1 < len(terms) else None
        yield term, following is None or following.starts_on != term.ends_on


def _recurring(
    service: int,
    term: Term,
    ends: bool,
    charge: RecurringCharge,
    calendar: Calendar,
    since: date,
    until: date,
) -> Iterator[Proposed]:
    own = calendar_of(charge, calendar)
    day = max(term.starts_on, own.part_of(since).period.start)
    begun = own.part_of(until).period.end
    while day < begun and (term.ends_on is None or day < term.ends_on):
        part = own.part_of(day)
        period = part.period.within(day, term.ends_on or date.max)
        assert period is not None
        due = _is_due(charge.timing, period, part, ends and period.end == term.ends_on, until)
        if due or charge.timing is Timing.ADVANCE:
            if not charge.prorated:
                period = Period(period.start, part.period.end)
            yield Proposed(
                service=service,
                charge=charge.code,
                kind=LineKind.RECURRING,
                offer=term.offer.name,
                description=charge.description,
                tax_category=charge.tax_category,
                period=period,
                rate=Rate(
                    charge.amount_micros * term.quantity,
                    part.whole,
                    part.unit,
                    charge.day_count,
                    charge.prorated,
                ),
                due=due,
            )
        day = part.period.end


def _is_due(timing: Timing, period: Period, part: Part, ends: bool, until: date) -> bool:
    if timing is Timing.ADVANCE:
        return period.start <= until
    return (period.end if ends else part.period.end) <= until


def _one_offs(service: Service, until: date) -> Iterator[Proposed]:
    """Each one-off charge once, on the first day of the first term whose offer has it."""
    seen: set[str] = set()
    for term in service.terms:
        if term.starts_on > until:
            return
        for charge in term.offer.one_off:
            if charge.code in seen:
                continue
            seen.add(charge.code)
            day = Period(term.starts_on, date.fromordinal(term.starts_on.toordinal() + 1))
            yield Proposed(
                service=service.service,
                charge=charge.code,
                kind=LineKind.ONE_OFF,
                offer=term.offer.name,
                description=charge.description,
                tax_category=charge.tax_category,
                period=day,
                rate=Rate(
                    charge.amount_micros * term.quantity, day, Unit.MONTH, DayCount.ACTUAL, False
                ),
            )


def _without_repeats(proposed: list[Proposed]) -> list[Proposed]:
    """Without what an earlier charge that is not prorated covers already."""
    covered: dict[tuple[int, str], date] = {}
    kept: list[Proposed] = []
    for each in proposed:
        key = (each.service, each.charge)
        end = covered.get(key, date.min)
        period = each.period.within(max(each.period.start, end), each.period.end)
        if period is not None:
            kept.append(msgspec.structs.replace(each, period=period))
            covered[key] = period.end
    return kept
