"""What is due of a campaign: by days, promise, weekday, hour; and what a payment undoes."""

from datetime import date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.dunning.campaign import Action, Campaign, Step
from billing.dunning.decision import NOTHING, Debt, Decision, Done, Process, decide

DUE = date(2026, 3, 2)  # a Monday
CAMPAIGN = Campaign(
    name="standard",
    steps=(
        Step(3, Action.REMIND),
        Step(7, Action.REMIND),
        Step(10, Action.LATE_FEE, {"EUR": 5_000_000}),
        Step(14, Action.SUSPEND),
        Step(14, Action.REACTIVATION_FEE, {"EUR": 10_000_000}),
        Step(44, Action.TERMINATE),
    ),
    threshold_micros={"EUR": 5_000_000},
)
OWED = Debt("EUR", 30_000_000, DUE)


def at(day: date, hour: int = 12) -> datetime:
    return datetime(day.year, day.month, day.day, hour)  # noqa: DTZ001 - local time


def after(days: int, hour: int = 12) -> datetime:
    return at(DUE + timedelta(days=days), hour)


def done(*steps: int, on: int = 14) -> tuple[Done, ...]:
    return tuple(Done(step, DUE + timedelta(days=on)) for step in steps)


def test_nothing_is_done_before_the_first_step_but_the_process_begins() -> None:
    decision = decide(CAMPAIGN, Process(), OWED, after(0))
    assert decision == Decision(DUE, next_on=date(2026, 3, 5))


def test_each_step_comes_on_its_day_and_once() -> None:
    process, taken = Process(), list[tuple[int, tuple[int, ...]]]()
    for days in range(60):
        decision = decide(CAMPAIGN, process, OWED, after(days))
        today = DUE + timedelta(days=days)
        if decision.take:
            taken.append((days, decision.take))
        new = tuple(Done(step, today) for step in (*decision.take, *decision.skip))
        process = Process(decision.since, decision.kept + new)
    # the 44th day after is a Wednesday; the 14th a Monday
    assert taken == [(3, (0,)), (7, (1,)), (10, (2,)), (14, (3, 4)), (44, (5,))]


def test_steps_wait_for_their_hour() -> None:
    assert decide(CAMPAIGN, Process(), OWED, after(3, hour=8)).take == ()
    assert decide(CAMPAIGN, Process(), OWED, after(3, hour=9)).take == (0,)


def test_who_looks_late_sends_one_reminder_and_does_not_terminate_at_once() -> None:
    late = decide(CAMPAIGN, Process(), OWED, after(60))
    assert (late.skip, late.take) == ((0,), (1, 2, 3, 4))
    assert late.next_on == DUE + timedelta(days=60 + 30 + 1)  # the 30th day after is a Sunday


def test_services_are_not_disrupted_on_a_weekend() -> None:
    campaign = Campaign(name="c", steps=(Step(5, Action.SUSPEND),))  # due on a Saturday
    saturday = decide(campaign, Process(), OWED, after(5))
    assert (saturday.take, saturday.next_on) == ((), DUE + timedelta(days=7))
    assert decide(campaign, Process(), OWED, after(7)).take == (0,)
    # and one that was due on Friday and missed waits as well
    missed = Campaign(name="c", steps=(Step(4, Action.SUSPEND),))
    assert decide(missed, Process(), OWED, after(5)).next_on == DUE + timedelta(days=7)


def test_the_later_of_promise_and_step_wins() -> None:
    process = Process(DUE, done(0, on=3), promised_until=DUE + timedelta(days=8))
    assert decide(CAMPAIGN, process, OWED, after(7)).take == ()
    assert decide(CAMPAIGN, process, OWED, after(8)).take == (1,)
    early = Process(DUE, done(0, on=3), promised_until=DUE + timedelta(days=5))
    assert decide(CAMPAIGN, early, OWED, after(5)).take == ()
    assert decide(CAMPAIGN, early, OWED, after(7)).take == (1,)


def test_small_debts_are_let_be_and_payment_up_to_the_threshold_clears() -> None:
    small = Debt("EUR", 5_000_000, DUE)
    assert decide(CAMPAIGN, Process(), small, after(30)) == NOTHING
    assert decide(CAMPAIGN, Process(), Debt("EUR", 0, None), after(30)) == NOTHING
    reminded = decide(CAMPAIGN, Process(DUE, done(0)), small, after(14))
    assert (reminded.cleared, reminded.restore, reminded.fee) == (True, False, None)
    suspended = decide(CAMPAIGN, Process(DUE, done(0, 1, 2, 3)), small, after(14))
    assert (suspended.cleared, suspended.restore, suspended.fee) == (True, True, None)
    with_fee = decide(CAMPAIGN, Process(DUE, done(0, 1, 2, 3, 4)), small, after(14))
    assert (with_fee.cleared, with_fee.restore, with_fee.fee) == (True, True, 4)


def test_the_excluded_are_let_be_and_restored() -> None:
    assert decide(CAMPAIGN, Process(excluded=True), OWED, after(30)) == NOTHING
    suspended = Process(DUE, done(0, 1, 2, 3), excluded=True)
    assert decide(CAMPAIGN, suspended, OWED, after(30)).restore


def test_who_pays_the_oldest_debt_is_treated_by_the_age_of_the_next() -> None:
    suspended = Process(DUE, done(0, 1, 2, 3, 4))
    newer = Debt("EUR", 30_000_000, DUE + timedelta(days=10))
    eased = decide(CAMPAIGN, suspended, newer, after(15))
    assert eased.since == newer.oldest_due
    assert (eased.restore, eased.fee, eased.cleared) == (True, 4, False)
    assert [each.step for each in eased.kept] == [0]
    # a debt that is old enough by itself keeps the service suspended
    old = Debt("EUR", 30_000_000, DUE + timedelta(days=1))
    still = decide(CAMPAIGN, suspended, old, after(20))
    assert (still.restore, still.take, len(still.kept)) == (False, (), 5)


@given(
    st.lists(
        st.tuples(st.integers(1, 5), st.sampled_from([0, 4, 30, 90]), st.integers(0, 23)),
        max_size=40,
    )
)
def test_over_any_history_a_suspension_is_lifted_once_and_never_taken_twice(
    looks: list[tuple[int, int, int]],
) -> None:
    """Whatever is paid and falls due between looks, suspending and restoring alternate."""
    process, suspended, day = Process(), False, DUE
    oldest = DUE
    for days, owed, hour in looks:
        day += timedelta(days=days)
        debt = Debt("EUR", owed * 1_000_000, oldest if owed else None)
        if not owed:
            oldest = day
        decision = decide(CAMPAIGN, process, debt, at(day, hour))
        suspends = any(CAMPAIGN.steps[step].action is Action.SUSPEND for step in decision.take)
        assert not (suspends and suspended and not decision.restore)
        if decision.restore:
            assert suspended
            suspended = False
        suspended |= suspends
        new = tuple(Done(step, day) for step in (*decision.take, *decision.skip))
        process = Process(decision.since, decision.kept + new)
        assert len({each.step for each in process.done}) == len(process.done)
        if suspends:
            assert day.isoweekday() not in CAMPAIGN.never_on
            assert hour >= CAMPAIGN.hour


@pytest.mark.parametrize("days", range(0, 120, 7))
def test_termination_is_never_sooner_after_the_suspension_than_planned(days: int) -> None:
    suspended_on = DUE + timedelta(days=days)
    process = Process(DUE, tuple(Done(step, suspended_on) for step in range(5)))
    for further in range(60):
        day = suspended_on + timedelta(days=further)
        if decide(CAMPAIGN, process, OWED, at(day)).take:
            assert further >= 30
            assert (day - DUE).days >= 44
            return
    pytest.fail("it was never terminated")
