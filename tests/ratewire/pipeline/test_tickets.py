"""Class carries a grant's uid there and back, and nothing else is taken for one."""

from hypothesis import given
from hypothesis import strategies as st

from ratewire.pipeline.tickets import class_of, grants_in


@given(st.binary(min_size=16, max_size=16), st.lists(st.binary(max_size=30), max_size=3))
def test_the_uid_comes_back_among_other_values(uid: bytes, others: list[bytes]) -> None:
    foreign = [value for value in others if not value.startswith(b"rw1.")]
    assert grants_in([*foreign, class_of(uid)]) == (uid,)


@given(st.lists(st.binary(max_size=40)))
def test_whatever_comes_is_a_uid_or_none(values: list[bytes]) -> None:
    assert all(len(uid) == 16 for uid in grants_in(values))


def test_none_at_all() -> None:
    assert grants_in(()) == ()
    assert grants_in((b"rw1.short", b"rw1." + bytes(17), b"")) == ()
