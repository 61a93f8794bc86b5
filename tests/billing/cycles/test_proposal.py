"""What is proposed: what is due by a day, at the rate of its term, in the periods of its charge."""

from datetime import date

from billing.cycles.calendar import Calendar, Change, Cycle, Period, Unit
from billing.cycles.proposal import Proposed, Service, Term, calendar_of, propose
from billing.offers.offer import Offer, OneOffCharge, RecurringCharge, Timing
from tests.billing.cycles.histories import CURRENCY, offer

JAN, FEB, MAR = date(2028, 1, 1), date(2028, 2, 1), date(2028, 3, 1)
MONTHLY = Calendar((Change(JAN, Cycle(Unit.MONTH)),))


def spans(proposed: list[Proposed]) -> list[tuple[str, date, date, int]]:
    return [
        (each.charge, each.period.start, each.period.end, each.rate.price_micros)
        for each in proposed
    ]


def test_advance_is_due_when_its_period_begins_and_arrears_when_it_ends() -> None:
    both = Offer(
        name="both",
        version=1,
        currency=CURRENCY,
        recurring=(
            RecurringCharge(code="a", description="A", amount_micros=1_000_000),
            RecurringCharge(
                code="b", description="B", amount_micros=2_000_000, timing=Timing.ARREARS
            ),
        ),
    )
    service = Service(1, (Term(JAN, None, both, 3),))
    assert spans(propose([service], MONTHLY, since=JAN, until=date(2028, 1, 31))) == [
        ("a", JAN, FEB, 3_000_000)
    ]
    assert spans(propose([service], MONTHLY, since=JAN, until=FEB)) == [
        ("a", JAN, FEB, 3_000_000),
        ("a", FEB, MAR, 3_000_000),
        ("b", JAN, FEB, 6_000_000),
    ]


def test_arrears_of_a_changed_offer_wait_for_the_period_and_of_an_ended_service_do_not() -> None:
    late = offer("late", 1_000_000, timing=Timing.ARREARS)
    mid = date(2028, 1, 11)
    changed = Service(1, (Term(JAN, mid, late), Term(mid, None, offer("o", 1_000_000))))
    assert spans(propose([changed], MONTHLY, since=JAN, until=mid)) == [
        ("access", mid, FEB, 1_000_000)
    ]
    ended = Service(1, (Term(JAN, mid, late),))
    assert spans(propose([ended], MONTHLY, since=JAN, until=mid)) == [
        ("access", JAN, mid, 1_000_000)
    ]


def test_only_periods_that_reach_beyond_the_day_are_proposed_but_those_whole() -> None:
    service = Service(1, (Term(JAN, None, offer("o", 1_000_000)),))
    since = date(2028, 2, 15)
    assert spans(propose([service], MONTHLY, since=since, until=since)) == [
        ("access", FEB, MAR, 1_000_000)
    ]


def test_what_begins_later_is_not_proposed() -> None:
    new = Offer(
        name="new",
        version=1,
        currency=CURRENCY,
        one_off=(OneOffCharge(code="setup", description="Set-up", amount_micros=10_000),),
        recurring=offer("o", 1_000_000).recurring,
    )
    service = Service(1, (Term(FEB, None, new),))
    assert propose([service], MONTHLY, since=JAN, until=date(2028, 1, 31)) == []
    assert spans(propose([service], MONTHLY, since=JAN, until=FEB)) == [
        ("access", FEB, MAR, 1_000_000),
        ("setup", FEB, date(2028, 2, 2), 10_000),
    ]


def test_charges_of_another_length_begin_on_the_accounts_bill_day() -> None:
    monthly = Calendar((Change(JAN, Cycle(Unit.MONTH, 15, 4)),))
    yearly = offer("y", 1_000_000, every=Unit.YEAR).recurring[0]
    assert calendar_of(yearly, monthly).part_of(MAR).whole == Period(
        date(2027, 4, 15), date(2028, 4, 15)
    )
    weekly = offer("w", 1_000_000, every=Unit.WEEK).recurring[0]
    assert calendar_of(weekly, monthly).part_of(MAR).whole.start.isoweekday() == 1
