"""Instalments sum exactly to the debt, and never more is collected than is outstanding."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.cycles.calendar import Unit
from billing.errors import InvalidInput
from billing.payment_plans.schedule import (
    Instalment,
    Standing,
    due_micros,
    instalments,
    standing,
)

FIRST = date(2026, 1, 31)


def three(debt: int = 100_000_000) -> tuple[Instalment, ...]:
    return instalments(debt, 3, first_due=FIRST, every=Unit.MONTH, currency="EUR")


def test_the_last_one_takes_the_remainder_and_month_ends_come_back() -> None:
    assert three() == (
        Instalment(1, date(2026, 1, 31), 33_330_000),
        Instalment(2, date(2026, 2, 28), 33_330_000),
        Instalment(3, date(2026, 3, 31), 33_340_000),
    )


@given(
    st.integers(2, 120),
    st.integers(0, 10**8),
    st.sampled_from([("EUR", 10_000), ("JPY", 1_000_000), ("KWD", 1_000)]),
    st.sampled_from(list(Unit)),
    st.dates(date(2020, 1, 1), date(2030, 1, 1)),
)
def test_instalments_sum_exactly_to_the_debt(
    number: int, minor: int, currency: tuple[str, int], every: Unit, first: date
) -> None:
    code, unit = currency
    debt = (minor + number) * unit
    cut = instalments(debt, number, first_due=first, every=every, currency=code)
    assert sum(each.amount_micros for each in cut) == debt
    assert all(each.amount_micros >= unit and each.amount_micros % unit == 0 for each in cut)
    assert [each.number for each in cut] == list(range(1, number + 1))
    days = [each.due_on for each in cut]
    assert days[0] == first
    assert days == sorted(set(days))


@pytest.mark.parametrize(
    ("debt", "number", "message"),
    [
        (100_000_000, 1, "1 instalments: allowed is 2 to 120"),
        (100_000_000, 121, "allowed is 2 to 120"),
        (20_000, 3, "cannot be cut"),
        (100_001, 2, "whole minor units"),
    ],
)
def test_a_debt_that_cannot_be_cut_is_refused(debt: int, number: int, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        instalments(debt, number, first_due=FIRST, every=Unit.MONTH, currency="EUR")


def test_what_is_due_is_what_became_due_less_what_was_paid() -> None:
    plan = three()
    assert due_micros(plan, 100_000_000, date(2026, 1, 30)) == 0
    assert due_micros(plan, 100_000_000, date(2026, 1, 31)) == 33_330_000
    assert due_micros(plan, 66_670_000, date(2026, 2, 27)) == 0
    # paid ahead: the second one is half paid
    assert due_micros(plan, 50_000_000, date(2026, 2, 28)) == 16_660_000
    # credited but for a rest: the smaller of the two
    assert due_micros(plan, 10_000_000, date(2026, 3, 31)) == 10_000_000
    assert due_micros(plan, 0, date(2026, 3, 31)) == 0


@given(st.integers(2, 24), st.integers(0, 10**6), st.integers(-10, 800), st.data())
def test_never_more_is_due_than_is_outstanding(
    number: int, minor: int, days: int, data: st.DataObject
) -> None:
    debt = (minor + number) * 10_000
    plan = instalments(debt, number, first_due=FIRST, every=Unit.MONTH, currency="EUR")
    outstanding = data.draw(st.integers(0, debt))
    today = FIRST + timedelta(days=days)
    due = due_micros(plan, outstanding, today)
    assert 0 <= due <= outstanding
    if today >= plan[-1].due_on:
        assert due == outstanding


def test_a_missed_instalment_breaks_the_plan_after_its_grace() -> None:
    plan = three()
    for today, outstanding, expected in (
        (date(2026, 1, 31), 100_000_000, Standing.ACTIVE),
        (date(2026, 2, 3), 100_000_000, Standing.ACTIVE),
        (date(2026, 2, 4), 100_000_000, Standing.DEFAULTED),
        (date(2026, 2, 4), 66_680_000, Standing.DEFAULTED),
        (date(2026, 2, 4), 66_670_000, Standing.ACTIVE),
        (date(2026, 2, 4), 0, Standing.COMPLETED),
        (date(2026, 4, 4), 10_000, Standing.DEFAULTED),
    ):
        assert standing(plan, outstanding, today, grace_days=3) is expected
