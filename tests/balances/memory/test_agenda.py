"""The agenda: names by due time, whatever is moved and taken in between."""

from hypothesis import given
from hypothesis import strategies as st

from balances.memory.agenda import Agenda

NAMES = st.sampled_from("abcdef")
TIMES = st.integers(0, 9)


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("set"), NAMES, TIMES),
            st.tuples(st.just("discard"), NAMES, TIMES),
            st.tuples(st.just("take"), st.integers(0, 3), TIMES),
        ),
        max_size=60,
    )
)
def test_it_takes_what_is_due_in_order_of_time_and_name(steps: list[tuple[str, str, int]]) -> None:
    agenda, expected = Agenda(), dict[str, int]()
    for what, which, time in steps:
        if what == "set":
            agenda.set(which, time)
            expected[which] = time
        elif what == "discard":
            agenda.discard(which)
            expected.pop(which, None)
        else:
            due = sorted((at, name) for name, at in expected.items() if at <= time)
            taken = [name for _, name in due[: int(which)]]
            assert agenda.take(time, int(which)) == taken
            for name in taken:
                del expected[name]
        assert len(agenda) == len(expected)
        assert agenda.next_ms() == min(expected.values(), default=None)
        assert agenda.soonest(9) == sorted(expected, key=lambda name: (expected[name], name))


def test_moving_names_for_ever_needs_no_more_room() -> None:
    agenda = Agenda()
    for time in range(10_000):
        agenda.set("a", time)
        agenda.set("b", 20_000 - time)
    assert len(vars(agenda)["_heap"]) < 100
    assert agenda.soonest(9) == ["a", "b"]
