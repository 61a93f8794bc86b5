"""Histories of services for the tests of proposals: what happens to them, and what is billed."""

from collections.abc import Iterable
from datetime import date, timedelta
from fractions import Fraction

import msgspec
from hypothesis import strategies as st

from billing.cycles.calendar import Calendar, Change, Cycle, Part, Period, Unit
from billing.cycles.difference import Billed, difference
from billing.cycles.proposal import Service, Term, calendar_of, propose
from billing.cycles.proration import DayCount, fraction
from billing.offers.offer import Offer, RecurringCharge, Timing

BEGUN = date(2027, 11, 30)
CURRENCY = "EUR"


def offer(name: str, amount_micros: int, code: str = "access", **fields: object) -> Offer:
    """An offer of one recurring charge."""
    charge = RecurringCharge(
        code=code,
        description=f"{name}, {code}",
        amount_micros=amount_micros,
        **fields,  # pyright: ignore[reportArgumentType] -- any of its fields
    )
    return Offer(name=name, version=1, currency=CURRENCY, recurring=(charge,))


OFFERS = (
    offer("small", 9_990_000),
    offer("large", 29_990_000),
    offer("fixed", 10_000_000, day_count=DayCount.FIXED_30),
    offer("later", 7_770_000, timing=Timing.ARREARS),
    offer("yearly", 120_000_000, every=Unit.YEAR),
    offer("weekly", 3_330_000, every=Unit.WEEK),
    offer("other", 5_550_000, code="other"),
)


class Books:
    """What was billed of an account, by applying differences as a run does."""

    def __init__(self, calendar: Calendar) -> None:
        self.calendar = calendar
        self.billed: dict[int, Billed] = {}
        self.amounts: dict[int, int] = {}

    def run(self, service: Service, *, since: date, until: date) -> int:
        """Bill what is due; return how many charges and credits that was."""
        proposed = propose([service], self.calendar, since=since, until=until)
        found = difference(
            proposed, list(self.billed.values()), currency=CURRENCY, since=since, until=until
        )
        for credit in found.credits:
            item = credit.billed.item
            before = self.billed[item]
            assert 0 <= credit.amount_micros <= before.left_micros
            self.billed[item] = msgspec.structs.replace(
                before, covers=credit.covers, left_micros=before.left_micros - credit.amount_micros
            )
        for charge in found.charges:
            item = len(self.billed)
            each = charge.proposed
            self.amounts[item] = charge.amount_micros
            self.billed[item] = Billed(
                item, each.service, each.charge, each.kind, each.offer, each.description,
                each.tax_category, each.rate, (each.period,), charge.amount_micros,
            )  # fmt: skip
        return len(found.charges) + len(found.credits)

    def days(self) -> dict[tuple[str, date], str]:
        """The offer that each day of each charge was billed for; no day twice."""
        days: dict[tuple[str, date], str] = {}
        for each in self.billed.values():
            for day in (day for period in each.covers for day in days_of(period)):
                key = (each.charge, day)
                assert key not in days, f"{key} was billed twice"
                days[key] = each.offer
        return days

    def exact(self) -> Fraction:
        """What all that holds costs, unrounded."""
        return sum(
            (
                each.rate.price_micros
                * Fraction(
                    *fraction(Part(period, each.rate.whole, each.rate.unit), each.rate.day_count)
                )
                for each in self.billed.values()
                for period in each.covers
            ),
            Fraction(0),
        )


def days_of(period: Period) -> Iterable[date]:
    """The days of a period."""
    return (period.start + timedelta(days=number) for number in range(period.days))


def due_days(service: Service, calendar: Calendar, until: date) -> dict[tuple[str, date], str]:
    """What must have been billed on a day, day by day: a model without periods."""
    days: dict[tuple[str, date], str] = {}
    for index, term in enumerate(service.terms):
        following = service.terms[index + 1] if index + 1 < len(service.terms) else None
        for charge in term.offer.recurring:
            own = calendar_of(charge, calendar)
            day = term.starts_on
            while day < (term.ends_on or until + timedelta(days=800)):
                part = own.part_of(day)
                begins = max(part.period.start, term.starts_on)
                ends = part.period.end
                goes_on = following is not None and following.starts_on == term.ends_on
                if term.ends_on is not None and term.ends_on <= ends and not goes_on:
                    ends = term.ends_on
                if (begins if charge.timing is Timing.ADVANCE else ends) <= until:
                    days[charge.code, day] = term.offer.name
                day += timedelta(days=1)
    return days


def planned_days(service: Service, calendar: Calendar, until: date) -> dict[tuple[str, date], str]:
    """What may have been billed ahead: days of terms to come, in periods that have begun."""
    days: dict[tuple[str, date], str] = {}
    for term in service.terms:
        for charge in term.offer.recurring:
            day = max(term.starts_on, until)
            end = calendar_of(charge, calendar).part_of(until).period.end
            while day < min(end, term.ends_on or end):
                days[charge.code, day] = term.offer.name
                day += timedelta(days=1)
    return days


class Life(msgspec.Struct):
    """What happens to a service: at each moment a day further, what is done, and whether a run."""

    calendar: Calendar
    events: list[tuple[int, str, Offer]]


ACTIONS = ("upgrade", "downgrade", "pause", "resume", "cancel", "nothing", "backdate", "bill-day")


@st.composite
def lives(draw: st.DrawFn) -> Life:
    """A calendar, and up to a dozen events."""
    unit = draw(st.sampled_from(list(Unit)))
    day = draw(st.integers(1, 7 if unit is Unit.WEEK else 31))
    cycle = Cycle(unit, day, draw(st.integers(1, 12)))
    events = st.tuples(st.integers(0, 70), st.sampled_from(ACTIONS), st.sampled_from(OFFERS))
    return Life(Calendar((Change(BEGUN, cycle),)), draw(st.lists(events, min_size=1, max_size=12)))


def after(terms: tuple[Term, ...], action: str, day: date, new: Offer, end: date) -> list[Term]:
    """The terms of a service after something is done to it on a day in a period with that end."""
    kept = [term for term in terms if term.starts_on < day]
    if kept and (kept[-1].ends_on is None or kept[-1].ends_on > day):
        if action == "downgrade":
            last = msgspec.structs.replace(kept[-1], ends_on=end)
            return [*kept[:-1], last, Term(end, None, new)]
        kept[-1] = msgspec.structs.replace(kept[-1], ends_on=day)
    return kept if action in ("pause", "cancel") else [*kept, Term(day, None, new)]
