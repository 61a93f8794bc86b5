"""What a partition holds: the rounds through a NAS's sessions, and forgetting closed ones."""

from hypothesis import given
from hypothesis import strategies as st

from balances.memory.partition import LATE_WINDOW_MS, Partition, Roster, Session
from balances.messages import StoredSession
from tests.balances.world import START_MS, uid_of


def session(key: str, *, is_open: bool) -> Session:
    stored = StoredSession(uid_of(key), "a", 1, is_open, False, False, 0, START_MS, 900, b"")
    return Session(key, key.partition("|")[0], stored)


@given(
    count=st.integers(1, 4),
    comings=st.lists(st.tuples(st.booleans(), st.integers(0, 9)), max_size=80),
)
def test_a_round_meets_all_that_stay(count: int, comings: list[tuple[bool, int]]) -> None:
    roster = Roster()
    for number in range(10):
        roster.add(f"stays{number}")
    met: list[str] = []
    cursor, rounds = 0, 0
    while rounds == 0 or cursor:
        cursor, keys = roster.after(cursor, count)
        assert len(keys) <= count
        met += keys
        rounds += 1
        for comes, number in comings[rounds * 4 : rounds * 4 + 4]:
            if comes:
                roster.add(f"guest{number}")
            else:
                roster.discard(f"guest{number}")
    assert [key for key in met if key.startswith("stays")] == [f"stays{n}" for n in range(10)]


def test_who_left_needs_no_room() -> None:
    roster = Roster()
    for number in range(10_000):
        roster.add(f"{number}")
        roster.discard(f"{number}")
    assert len(vars(roster)["_order"]) < 100
    assert roster.after(0, 10) == (0, [])


def test_a_closed_session_is_forgotten_after_the_late_window() -> None:
    partition = Partition()
    partition.put_session(session("n|1", is_open=False), START_MS)
    partition.put_session(session("n|2", is_open=True), START_MS)
    assert partition.session("n|1", START_MS + LATE_WINDOW_MS - 1) is not None
    assert partition.session("n|1", START_MS + LATE_WINDOW_MS) is None
    assert partition.session("n|2", START_MS + LATE_WINDOW_MS) is not None


def test_a_late_record_begins_the_late_window_anew_and_reopening_ends_it() -> None:
    partition = Partition()
    for key in ("n|1", "n|2"):
        partition.put_session(session(key, is_open=False), START_MS)
    partition.put_session(session("n|1", is_open=False), START_MS + 5)
    partition.put_session(session("n|2", is_open=True), START_MS + 5)
    assert partition.session("n|1", START_MS + LATE_WINDOW_MS + 4) is not None
    assert partition.session("n|1", START_MS + LATE_WINDOW_MS + 5) is None
    assert partition.session("n|2", START_MS + 2 * LATE_WINDOW_MS) is not None
