"""A bill is put together from charges, credits, minimums, bundles and coupons."""

from datetime import date

import msgspec

from billing.coupons.discount import LineKind, Redeemed, Terms
from billing.cycles.bill import Account, bill, window
from billing.cycles.calendar import Calendar, Change, Cycle, Period, Unit
from billing.cycles.proposal import Service, Term
from billing.offers.offer import Offer, RecurringCharge
from tests.billing.cycles.histories import offer

JAN, FEB, MAR = date(2028, 1, 1), date(2028, 2, 1), date(2028, 3, 1)
SMALL = offer("small", 31_000_000)


def account(*services: Service, **fields: object) -> Account:
    plain = Account(
        account="a",
        currency="EUR",
        calendar=Calendar((Change(JAN, Cycle(Unit.MONTH)),)),
        bill_on=FEB,
        billed_until=JAN,
        changed_since=None,
        goes_on=False,
        services=services,
    )
    return msgspec.structs.replace(plain, **fields)


def on(what: Offer, starts: date = JAN, ends: date | None = None) -> Service:
    return Service(1, (Term(starts, ends, what),))


def test_the_next_bill_is_due_at_the_end_of_the_cycle_or_when_a_service_changes() -> None:
    assert bill(account(on(SMALL))).next_bill_on == MAR
    assert bill(account(on(SMALL, ends=date(2028, 2, 9)))).next_bill_on == date(2028, 2, 9)
    assert bill(account(on(SMALL, ends=FEB))).next_bill_on is None
    assert bill(account(goes_on=True)).next_bill_on == MAR


def test_a_bill_closes_the_cycles_that_have_ended() -> None:
    assert bill(account(on(SMALL))).closed == (Period(JAN, FEB),)
    mid = account(on(SMALL), bill_on=date(2028, 1, 20))
    assert bill(mid).closed == ()
    assert bill(account(on(SMALL), bill_on=MAR)).closed == (Period(JAN, FEB), Period(FEB, MAR))
    # an account that began within a cycle closes the part of it
    begun = date(2028, 1, 20)
    late = account(
        on(SMALL, begun),
        calendar=Calendar((Change(begun, Cycle(Unit.MONTH)),)),
        billed_until=begun,
    )
    assert bill(late).closed == (Period(begun, FEB),)


def test_what_was_billed_is_needed_from_the_beginning_of_the_longest_period_that_runs() -> None:
    yearly = offer("yearly", 120_000_000, every=Unit.YEAR)
    assert window(account(on(SMALL)), on(SMALL)) == JAN
    june = account(billed_until=date(2028, 6, 1), bill_on=date(2028, 7, 1))
    assert window(june, on(SMALL)) == date(2028, 6, 1)
    assert window(june, on(yearly)) == JAN


def test_a_bundle_is_cheaper_than_its_parts_before_coupons() -> None:
    parts = (
        RecurringCharge(code="net", description="Net", amount_micros=20_000_000),
        RecurringCharge(code="tv", description="TV", amount_micros=10_000_000),
    )
    bundle = Offer(
        name="bundle",
        version=1,
        currency="EUR",
        description="Bundle",
        recurring=parts,
        discount=Terms(amount_micros=6_000_000, currency="EUR"),
    )
    coupon = Redeemed("a", 7, "HALF", "Half price", Terms(basis_points=5000), {})
    made = bill(account(on(bundle, FEB), redeemed=(coupon,)))
    assert [(i.amount_micros, i.discount_micros, i.discount_reason) for i in made.items] == [
        (20_000_000, 12_000_000, "Bundle, Half price"),
        (10_000_000, 6_000_000, "Bundle, Half price"),
    ]
    assert made.amount_micros == 12_000_000
    assert made.uses == ((7, FEB, 12_000_000),)
    # of half a month half of it
    half = bill(account(on(bundle, date(2028, 2, 16)), bill_on=date(2028, 2, 16)))
    assert [item.amount_micros for item in half.items] == [9_660_000, 4_830_000]
    assert [item.discount_micros for item in half.items] == [1_930_000, 970_000]


def test_a_minimum_counts_fees_and_usage_and_is_prorated() -> None:
    least = msgspec.structs.replace(SMALL, minimum_micros=50_000_000)
    in_advance = bill(account(on(least), bill_on=JAN, billed_until=None))
    assert [item.kind for item in in_advance.items] == [LineKind.RECURRING]
    short = bill(account(on(least), usage_micros={(1, JAN): 4_000_000}))
    minimum = [item for item in short.items if item.kind is LineKind.MINIMUM]
    # the fee of January was not billed before either, so it counts: 50 - 31 - 4
    assert [(item.amount_micros, item.period) for item in minimum] == [
        (15_000_000, Period(JAN, FEB))
    ]
    enough = bill(account(on(least), usage_micros={(1, JAN): 19_000_000}))
    assert [item.kind for item in enough.items if item.kind is LineKind.MINIMUM] == []
    # half of January: half the minimum, less half the fee
    part = bill(account(on(least, date(2028, 1, 17)), billed_until=date(2028, 1, 17)))
    assert [item.amount_micros for item in part.items if item.kind is LineKind.MINIMUM] == [
        24_190_000 - 15_000_000
    ]
