"""The terms of a service stay in order, apart, and say what was done."""

from collections.abc import Callable
from datetime import date, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.errors import BillingError, Conflict, InvalidInput
from billing.services.history import (
    OfferVersion,
    ServiceState,
    TermOf,
    Terms,
    cancelled,
    changed,
    next_change,
    paused,
    resumed,
    started,
    state_on,
    term_on,
)

A, B, C = (OfferVersion(name, 1) for name in "abc")


def day(number: int) -> date:
    return date(2026, 1, 1) + timedelta(days=number)


def test_a_change_cuts_the_running_term_and_drops_what_was_planned() -> None:
    planned = (TermOf(day(0), day(20), A), TermOf(day(20), None, B))
    assert changed(planned, day(10), C, 1) == (TermOf(day(0), day(10), A), TermOf(day(10), None, C))
    with pytest.raises(Conflict, match="on a version 1 already"):
        changed(planned, day(10), A, 1)
    assert changed(planned, day(10), A, 2)[-1] == TermOf(day(10), None, A, 2)


def test_a_change_on_the_first_day_leaves_nothing_of_the_old_offer() -> None:
    assert changed((TermOf(day(0), None, A),), day(0), B, 1) == (TermOf(day(0), None, B),)
    # and there and back is nothing at all
    back = changed(changed((TermOf(day(0), None, A),), day(5), B, 1), day(5), A, 1)
    assert back == (TermOf(day(0), None, A),)


def test_a_seasonal_pause_comes_back_on_what_was_to_be_then() -> None:
    planned = (TermOf(day(0), day(20), A), TermOf(day(20), None, B))
    assert paused(planned, day(10), day(15)) == (
        TermOf(day(0), day(10), A),
        TermOf(day(15), day(20), A),
        TermOf(day(20), None, B),
    )
    assert paused(planned, day(10), day(25)) == (
        TermOf(day(0), day(10), A),
        TermOf(day(25), None, B),
    )
    with pytest.raises(InvalidInput, match="must be later"):
        paused(planned, day(10), day(10))


def test_a_pause_without_end_lasts_until_it_is_resumed() -> None:
    gone = paused((TermOf(day(0), None, A),), day(10), None)
    assert gone == (TermOf(day(0), day(10), A),)
    assert resumed(gone, day(30)) == (TermOf(day(0), day(10), A), TermOf(day(30), None, A))
    assert resumed(gone, day(10)) == (TermOf(day(0), None, A),)
    with pytest.raises(Conflict, match="not paused"):
        resumed((TermOf(day(0), None, A),), day(5))
    with pytest.raises(Conflict, match="not active"):
        paused(gone, day(12), None)


def test_a_seasonal_pause_can_be_ended_early() -> None:
    season = paused((TermOf(day(0), None, A),), day(10), day(60))
    assert resumed(season, day(30)) == (TermOf(day(0), day(10), A), TermOf(day(30), None, A))


def test_what_ends_is_cut_and_what_is_planned_dropped() -> None:
    planned = (TermOf(day(0), day(20), A), TermOf(day(20), None, B))
    assert cancelled(planned, day(10)) == (TermOf(day(0), day(10), A),)
    assert cancelled(planned, day(0)) == ()
    with pytest.raises(Conflict, match="has begun on 2026-01-01"):
        started(planned, day(1), A, 1)


def test_states_and_days_of_change() -> None:
    terms = paused((TermOf(day(5), None, A),), day(10), day(15))
    states = [state_on(terms, day(20), day(number)) for number in (4, 5, 9, 10, 14, 15, 19, 20)]
    o, a, p, c = ServiceState
    assert states == [o, a, a, p, p, a, a, c]
    assert [next_change(terms, day(number)) for number in (0, 5, 10, 15)] == [
        day(5), day(10), day(15), None,
    ]  # fmt: skip
    assert term_on(terms, day(12)) is None


def test_a_service_that_is_cancelled_before_it_begins_was_never_there() -> None:
    assert state_on((), day(3), day(2)) is ServiceState.ORDERED
    assert state_on((), day(3), day(3)) is ServiceState.CANCELLED


Step = tuple[int, str, OfferVersion, int]


@given(
    st.lists(
        st.tuples(
            st.integers(-5, 40),
            st.sampled_from(["change", "pause", "season", "resume", "cancel"]),
            st.sampled_from([A, B, C]),
            st.integers(1, 50),
        ),
        max_size=12,
    )
)
def test_terms_stay_apart_and_in_order_whatever_is_done(steps: list[Step]) -> None:
    terms = started((), day(0), A, 1)
    today = 0
    for days, what, offer, length in steps:
        today = max(today + days, 0)
        on, end = day(today), day(today + length)
        done: dict[str, Callable[[], Terms]] = {
            "change": lambda terms=terms, on=on, offer=offer: changed(terms, on, offer, 1),
            "pause": lambda terms=terms, on=on: paused(terms, on, None),
            "season": lambda terms=terms, on=on, end=end: paused(terms, on, end),
            "resume": lambda terms=terms, on=on: resumed(terms, on),
            "cancel": lambda terms=terms, on=on: cancelled(terms, on),
        }
        before = terms
        try:
            terms = done[what]()
        except BillingError:
            continue
        for earlier in range(today):
            assert term_on(terms, day(earlier)) == term_on(before, day(earlier)) or (
                _is_cut(term_on(terms, day(earlier)), term_on(before, day(earlier)))
            )
        assert (term_on(terms, on) is not None) == (what in ("change", "resume"))
        assert all(term.ends_on is None or term.starts_on < term.ends_on for term in terms)
        assert all(a.ends_on is not None and a.ends_on <= b.starts_on for a, b in pairwise(terms))


def _is_cut(after: TermOf | None, before: TermOf | None) -> bool:
    """Whether a term is as it was but for its end."""
    return after is not None and before is not None and after.offer == before.offer
