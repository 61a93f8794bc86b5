"""Whatever happens to a service: each day is billed once, at what it was, and a re-run is empty."""

from datetime import date, timedelta

import pytest
from hypothesis import given, settings

from billing.coupons.discount import LineKind
from billing.cycles.calendar import Calendar, Change, Cycle, Period, Unit
from billing.cycles.difference import Billed, difference, without
from billing.cycles.proposal import Contradiction, Proposed, Rate, Service, Term, propose
from billing.cycles.proration import DayCount
from billing.offers.offer import Offer, OneOffCharge
from tests.billing.cycles.histories import (
    BEGUN,
    CURRENCY,
    OFFERS,
    Books,
    Life,
    after,
    due_days,
    lives,
    offer,
    planned_days,
)


@settings(max_examples=40, deadline=None)
@given(lives())
def test_no_overlap_and_no_hole_for_any_sequence_of_changes(life: Life) -> None:
    """Looking back over all of it, and only from where something changed, does the same."""
    all_of_it, recent = Books(life.calendar), Books(life.calendar)
    service = Service(1, (Term(BEGUN, None, OFFERS[0]),))
    today, changed = BEGUN, BEGUN
    for days, action, new in life.events:
        today += timedelta(days=days)
        day = today - timedelta(days=20) if action == "backdate" else today
        day = max(day, BEGUN)
        calendar = all_of_it.calendar
        if action == "bill-day":
            cycle = Cycle(calendar.changes[0].cycle.unit, 1 + days % 7, 5)
            for books in (all_of_it, recent):
                books.calendar = calendar.changed(calendar.part_of(today).period.end, cycle)
        elif action != "nothing":
            end = calendar.part_of(day).period.end
            terms = after(service.terms, action, day, new, end)
            service = Service(1, tuple(terms))
        since = min(changed, day, calendar.part_of(changed).period.start)
        planned = planned_days(service, all_of_it.calendar, today)
        kept = {k: v for k, v in all_of_it.days().items() if planned.get(k) == v}
        all_of_it.run(service, since=date(2027, 1, 1), until=today)
        recent.run(service, since=since, until=today)
        assert all_of_it.days() == kept | due_days(service, all_of_it.calendar, today)
        assert recent.days() == all_of_it.days()
        assert all_of_it.run(service, since=date(2027, 1, 1), until=today) == 0
        assert recent.run(service, since=since, until=today) == 0
        changed = today
        for each in all_of_it.billed.values():
            assert each.left_micros >= 0
            assert each.covers or each.left_micros == 0
        left = sum(each.left_micros for each in all_of_it.billed.values())
        pieces = 2 * sum(1 + len(each.covers) for each in all_of_it.billed.values())
        assert abs(left - all_of_it.exact()) <= pieces * 10_000


MONTHLY = Calendar((Change(BEGUN, Cycle(Unit.MONTH)),))


def bill(books: Books, terms: list[Term], until: str) -> list[tuple[str, str, int]]:
    """Run; return what it added: offer, days, amount, credits as negative amounts."""
    before = {item: each.left_micros for item, each in books.billed.items()}
    books.run(Service(1, tuple(terms)), since=date(2027, 1, 1), until=date.fromisoformat(until))
    added = [
        (each.offer, "credit", each.left_micros - before[item])
        for item, each in books.billed.items()
        if item in before and each.left_micros != before[item]
    ]
    return added + [
        (each.offer, f"{period.start}/{period.end}", each.left_micros)
        for item, each in books.billed.items()
        if item not in before
        for period in each.covers
    ]


JAN, FEB = date(2028, 1, 1), date(2028, 2, 1)
SMALL, LARGE = offer("small", 10_000_000), offer("large", 31_000_000)


def test_an_upgrade_credits_the_unused_part_and_charges_the_rest() -> None:
    books = Books(MONTHLY)
    assert bill(books, [Term(JAN, None, SMALL)], "2028-01-01") == [
        ("small", "2028-01-01/2028-02-01", 10_000_000)
    ]
    upgraded = [Term(JAN, date(2028, 1, 17), SMALL), Term(date(2028, 1, 17), None, LARGE)]
    # 15 of 31 days of 10.00 is 4.8387..., 15 of 31 of 31.00 is 15.00
    assert bill(books, upgraded, "2028-01-17") == [
        ("small", "credit", -4_840_000),
        ("large", "2028-01-17/2028-02-01", 15_000_000),
    ]
    assert bill(books, upgraded, "2028-01-17") == []
    # back on the same day: nothing of the upgrade remains
    assert bill(books, [Term(JAN, None, SMALL)], "2028-01-17") == [
        ("large", "credit", -15_000_000),
        ("small", "2028-01-17/2028-02-01", 4_840_000),
    ]


def test_a_cancellation_gives_back_what_was_paid_in_advance_and_bills_what_was_not() -> None:
    books = Books(MONTHLY)
    both = Offer(
        name="both",
        version=1,
        currency=CURRENCY,
        recurring=(*SMALL.recurring, *offer("l", 31_000_000, "late", timing="arrears").recurring),
    )
    bill(books, [Term(JAN, None, both)], "2028-01-01")
    ended = [Term(JAN, date(2028, 1, 11), both)]
    assert bill(books, ended, "2028-01-11") == [
        ("both", "credit", -6_770_000),
        ("both", "2028-01-01/2028-01-11", 10_000_000),
    ]
    assert bill(books, ended, "2028-03-01") == []


def test_what_is_not_prorated_costs_all_of_a_period_begun_once() -> None:
    books = Books(MONTHLY)
    rent = offer("rent", 9_000_000, prorated=False)
    terms = [Term(date(2028, 1, 20), None, rent)]
    assert bill(books, terms, "2028-01-20") == [("rent", "2028-01-20/2028-02-01", 9_000_000)]
    # back and forth within the period costs nothing more, and nothing is given back
    paused = [
        Term(date(2028, 1, 20), date(2028, 1, 22), rent),
        Term(date(2028, 1, 25), None, rent),
    ]
    assert bill(books, paused, "2028-01-25") == []
    # an earlier beginning is covered by what was paid
    earlier = [Term(date(2028, 1, 10), None, rent)]
    assert bill(books, earlier, "2028-01-25") == [("rent", "2028-01-10/2028-01-20", 0)]


def test_what_is_billed_once_is_billed_once() -> None:
    books = Books(MONTHLY)
    set_up = Offer(
        name="new",
        version=1,
        currency=CURRENCY,
        one_off=(OneOffCharge(code="setup", description="Set-up", amount_micros=50_000_000),),
    )
    assert bill(books, [Term(JAN, None, set_up)], "2028-01-01")[0][2] == 50_000_000
    moved = [Term(JAN, FEB, SMALL), Term(FEB, None, set_up)]
    assert [each for each in bill(books, moved, "2028-03-01") if each[0] == "new"] == []


def test_a_price_that_changes_for_the_past_is_a_credit_and_a_charge() -> None:
    books = Books(MONTHLY)
    bill(books, [Term(JAN, None, SMALL)], "2028-01-15")
    dearer = offer("small", 12_000_000)
    assert bill(books, [Term(JAN, None, dearer)], "2028-01-15") == [
        ("small", "credit", -10_000_000),
        ("small", "2028-01-01/2028-02-01", 12_000_000),
    ]


@pytest.mark.parametrize(
    ("terms", "message"),
    [
        ([Term(JAN, JAN, SMALL)], "which is not later"),
        ([Term(FEB, JAN, SMALL)], "which is not later"),
        ([Term(JAN, None, SMALL), Term(FEB, None, LARGE)], "on small and on large on 2028-02-01"),
        ([Term(JAN, FEB, SMALL), Term(date(2028, 1, 31), None, LARGE)], "on small and on large"),
        ([Term(JAN, None, SMALL, 0)], "a quantity of 0"),
    ],
)
def test_contradictory_histories_are_not_billed(terms: list[Term], message: str) -> None:
    with pytest.raises(Contradiction, match=message):
        propose([Service(7, tuple(terms))], MONTHLY, since=JAN, until=FEB)


def test_a_run_that_would_change_too_much_is_not_made() -> None:
    weekly = offer("weekly", 1_000_000, every=Unit.WEEK)
    terms = Service(1, (Term(JAN, None, weekly),))
    proposed = propose([terms], MONTHLY, since=JAN, until=date(2030, 1, 1))
    with pytest.raises(Contradiction, match="106 charges and 0 credits at once, more than 60"):
        difference(proposed, [], currency=CURRENCY, since=JAN, until=date(2030, 1, 1))
    far = Period(JAN, date(2040, 1, 1))
    rate = Rate(1, far, Unit.YEAR, DayCount.ACTUAL)
    ahead = Proposed(1, "c", LineKind.RECURRING, "o", "d", "", far, rate)
    with pytest.raises(Contradiction, match="would be billed until 2040-01-01"):
        difference([ahead], [], currency=CURRENCY, since=JAN, until=JAN)


def test_the_discount_goes_back_with_its_charge() -> None:
    rate = Rate(10_000_000, Period(JAN, FEB), Unit.MONTH, DayCount.ACTUAL)
    billed = Billed(
        1, 1, "access", LineKind.RECURRING, "small", "d", "", rate, (Period(JAN, FEB),),
        10_000_000, 1_000_000,
    )  # fmt: skip
    half = propose(
        [Service(1, (Term(JAN, date(2028, 1, 17), SMALL),))], MONTHLY, since=JAN, until=FEB
    )
    [credit] = difference(half, [billed], currency=CURRENCY, since=JAN, until=FEB).credits
    assert (credit.amount_micros, credit.discount_micros) == (4_840_000, 480_000)
    [all_of_it] = difference([], [billed], currency=CURRENCY, since=JAN, until=FEB).credits
    assert (all_of_it.amount_micros, all_of_it.discount_micros) == (10_000_000, 1_000_000)


def test_periods_less_others() -> None:
    days = [date(2028, 1, number) for number in range(1, 10)]
    period = Period(days[0], days[8])
    assert without([period], []) == [period]
    assert without([period], [Period(days[2], days[4])]) == [
        Period(days[0], days[2]),
        Period(days[4], days[8]),
    ]
    assert without([period], [Period(days[0], days[4]), Period(days[4], days[8])]) == []
