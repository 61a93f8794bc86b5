"""Who may begin an exchange with which NAS."""

import pytest

from ratewire.enforcement import lanes as module
from ratewire.enforcement.lanes import (
    FIRST_PLACES,
    LONGEST_WAIT_MS,
    MOST_PLACES,
    SHORTEST_WAIT_MS,
    SPACING_MS,
    Lanes,
)


@pytest.fixture
def lanes() -> Lanes:
    return Lanes(most_probes=64)


def entered(lanes: Lanes, nas: str, now_ms: int = 0) -> int:
    """Take all the places there are; return how many."""
    count = 0
    while not lanes.enter(nas, now_ms):
        count += 1
    return count


def silent(lanes: Lanes, nas: str) -> None:
    assert not lanes.enter(nas, 0)
    lanes.timed_out(nas)
    lanes.leave(nas)


def test_nases_have_places_of_their_own(lanes: Lanes) -> None:
    assert entered(lanes, "a") == FIRST_PLACES
    assert entered(lanes, "b") == FIRST_PLACES
    lanes.leave("a")
    assert entered(lanes, "a") == 1


def test_each_answer_brings_one_place_more_up_to_a_bound(lanes: Lanes) -> None:
    entered(lanes, "a")
    lanes.answered("a")
    assert entered(lanes, "a") == 1
    for _ in range(2 * MOST_PLACES):
        lanes.answered("a")
    assert entered(lanes, "a") == MOST_PLACES - FIRST_PLACES - 1


def test_one_without_an_answer_is_probed_until_it_answers(lanes: Lanes) -> None:
    for _ in range(FIRST_PLACES):
        assert not lanes.enter("a", 0)
    lanes.timed_out("a")
    lanes.leave("a")
    assert entered(lanes, "a") == 0, "those that were begun before are still under way"
    for _ in range(FIRST_PLACES - 1):
        lanes.leave("a")
    assert entered(lanes, "a") == 1
    lanes.leave("a")
    assert entered(lanes, "a") == 1, "it is remembered"
    lanes.answered("a")
    assert entered(lanes, "a") == 1


def test_jobs_that_are_put_off_come_back_one_by_one(lanes: Lanes) -> None:
    entered(lanes, "a", 1000)
    waits = [lanes.enter("a", 1000) for _ in range(3)]
    assert waits == [SHORTEST_WAIT_MS + number * SPACING_MS for number in range(1, 4)]
    waits = [lanes.enter("a", 1000) for _ in range(LONGEST_WAIT_MS)]
    assert max(waits) == LONGEST_WAIT_MS
    lanes.answered("a")
    entered(lanes, "a", 60_000)
    assert lanes.enter("a", 60_000) == SHORTEST_WAIT_MS + SPACING_MS


def test_the_longer_there_is_no_answer_the_longer_a_job_waits(lanes: Lanes) -> None:
    entered(lanes, "a", 1000)
    assert lanes.enter("a", 3000) == 2000
    assert lanes.enter("a", 60_000) == LONGEST_WAIT_MS
    lanes.answered("a")
    assert entered(lanes, "a", 70_000) == 1
    assert lanes.enter("a", 70_500) == 500
    lanes.answered("a")
    assert entered(lanes, "a", 80_000) == 1
    assert lanes.enter("a", 80_000) == SHORTEST_WAIT_MS + SPACING_MS


def test_all_that_may_be_dead_together_leave_places_for_others() -> None:
    lanes = Lanes(most_probes=5)
    assert not lanes.enter("good", 0)
    lanes.answered("good")
    silent(lanes, "a")
    assert [entered(lanes, nas) for nas in "abc"] == [1, FIRST_PLACES, 0]
    assert entered(lanes, "good") == FIRST_PLACES
    lanes.leave("a")
    assert entered(lanes, "c") == 1


def test_who_only_waits_takes_no_place_of_the_others() -> None:
    """So a thousand dead ones are asked in no more time than first transmissions take."""
    lanes = Lanes(most_probes=4)
    assert [entered(lanes, nas) for nas in "ab"] == [FIRST_PLACES, 0]
    for _ in range(FIRST_PLACES):
        lanes.waits("a")
    assert lanes.waiting == FIRST_PLACES
    assert [entered(lanes, nas) for nas in "ab"] == [0, FIRST_PLACES]
    for _ in range(FIRST_PLACES):
        lanes.leave("a", waited=True)
    assert lanes.waiting == 0
    assert entered(lanes, "a") == 0, "b has them"


def test_it_does_not_remember_without_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_LANES", 3)
    lanes = Lanes(most_probes=100)
    for nas in "abc":
        silent(lanes, nas)
    assert entered(lanes, "b") == 1
    assert entered(lanes, "d") == FIRST_PLACES
    assert entered(lanes, "b") == 0, "what is under way is kept"
    assert entered(lanes, "a") == FIRST_PLACES
