"""Counters add and subtract by direction, and nothing used is false."""

from rating.quantity import NOTHING, Counters


def test_counters_add_and_subtract_each_by_itself() -> None:
    assert Counters(5, 7, 9) - Counters(1, 2, 3) == Counters(4, 5, 6)
    assert Counters(4, 5, 6) + Counters(1, 2, 3) == Counters(5, 7, 9)


def test_only_nothing_is_false() -> None:
    assert not NOTHING
    assert all((Counters(1), Counters(0, 1), Counters(0, 0, 1)))
