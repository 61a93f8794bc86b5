"""Lines: what is used by when, and how long who was cut stays away."""

from ipaddress import IPv4Address, ip_network

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ratewire.fleet.subscriber import (
    FIRST_PATIENCE_S,
    LONGEST_PATIENCE_S,
    WORTHWHILE_S,
    LiveSession,
    Subscriber,
)


def session(subscriber: Subscriber, *, began: float = 1000.0) -> LiveSession:
    """A session that has just begun."""
    habit = subscriber.habit
    return LiveSession(
        subscriber=subscriber,
        session_id="s",
        began=began,
        ends=began + habit.online,
        down=habit.down,
        up=habit.up,
        counted=began,
    )


def test_the_same_seed_makes_the_same_subscriber_whatever_the_others_do() -> None:
    Subscriber("bob", 1, 20.0, 7).random.random()
    alice, again = Subscriber("alice", 0, 20.0, 7), Subscriber("alice", 5, 20.0, 7)
    assert alice.habit == again.habit
    assert Subscriber("alice", 0, 20.0, 8).habit != alice.habit


def test_speeds_are_around_the_mean_that_was_asked() -> None:
    habits = [Subscriber(f"u{number}", number, 20.0, 1).habit for number in range(500)]
    assert sum(habit.down for habit in habits) / 500 == pytest.approx(2_500_000, rel=0.1)
    assert all(habit.up < habit.down for habit in habits)
    assert Subscriber("idle", 0, 0.0, 1).habit.down == 0


def test_addresses_are_each_subscribers_own() -> None:
    numbers = [0, 1, 255, 256, 65_535, 65_536, 999_999]
    subscribers = [Subscriber("u", number, 1.0, 1) for number in numbers]
    assert len({each.framed_address for each in subscribers}) == len(numbers)
    assert len({each.calling_station for each in subscribers}) == len(numbers)
    network = ip_network("100.64.0.0/10")
    assert all(IPv4Address(each.framed_address) in network for each in subscribers)
    assert subscribers[-1].calling_station == "02-00-00-0F-42-3F"


def test_who_is_cut_again_and_again_waits_longer_but_never_longer_than_the_longest() -> None:
    subscriber = Subscriber("alice", 0, 20.0, 1)
    pauses = [subscriber.pause_after(1.0, cut=True) for _ in range(2000)]
    expected = [min(FIRST_PATIENCE_S * 2**n, LONGEST_PATIENCE_S) for n in range(10)]
    for pause, mean in zip(pauses, expected, strict=False):
        assert 0.75 * mean <= pause <= 1.25 * mean
    assert max(pauses) <= 1.25 * LONGEST_PATIENCE_S


@pytest.mark.parametrize(("seconds", "cut"), [(WORTHWHILE_S, True), (1.0, False)])
def test_a_session_that_was_worth_it_restores_the_patience(seconds: float, cut: bool) -> None:
    subscriber = Subscriber("alice", 0, 20.0, 1)
    for _ in range(5):
        subscriber.pause_after(1.0, cut=True)
    pause = subscriber.pause_after(seconds, cut=cut)
    if not cut:
        assert pause == subscriber.habit.offline
        pause = subscriber.pause_after(1.0, cut=True)
    assert pause <= 1.25 * FIRST_PATIENCE_S


@settings(deadline=None)
@given(st.lists(st.floats(-1000, 2000), max_size=20))
def test_counters_never_fall_whatever_the_clock_does(steps: list[float]) -> None:
    live = session(Subscriber("alice", 0, 20.0, 1))
    now, seen = 1000.0, (0, 0, 0)
    for step in steps:
        now += step
        live.count(now)
        after = (live.octets_in, live.octets_out, live.seconds(now))
        assert all(new >= old for new, old in zip(after, seen, strict=True))
        assert live.seconds(now) <= max(0.0, live.counted - live.began, now - live.began)
        seen = after


def test_a_line_is_used_in_bursts_around_its_speed() -> None:
    live = session(Subscriber("alice", 0, 20.0, 1))
    for second in range(1, 501):
        before = live.octets_in, live.octets_out
        live.count(1000.0 + second)
        used = live.octets_in - before[0], live.octets_out - before[1]
        assert 0.5 * live.up - 1 <= used[0] <= 1.5 * live.up
        assert 0.5 * live.down - 1 <= used[1] <= 1.5 * live.down
    assert live.octets_out == pytest.approx(500 * live.down, rel=0.1)
