"""The arithmetic of `make bench-scale`."""

from typing import Any

from bench.scale import flatness, octets_per_session, record_cost_us


def case(sessions: int, *listener_us: float) -> dict[str, Any]:
    """A case with one run for each number of listeners."""
    return {
        "sessions": sessions,
        "runs": [
            {
                "workers": at + 1,
                "full": {"cpu_us_per_record": {"listener": us, "valkey": 20.0, "generator": 500.0}},
            }
            for at, us in enumerate(listener_us)
        ],
    }


def test_octets_of_a_session_are_what_was_added_over_the_sessions() -> None:
    before, after = {"used_memory": 5_000}, {"used_memory": 5_000 + 1_500}
    assert octets_per_session(before, after, 2) == 750
    assert octets_per_session(before, after, 1_000) == 2  # 1.5, half up


def test_a_record_costs_what_all_processes_but_the_generator_use() -> None:
    phase = {"cpu_us_per_record": {"listener": 60.0, "valkey": 20.5, "generator": 15.0}}
    assert record_cost_us(phase) == 80.5


def test_flat_is_at_most_a_share_beyond_the_fewest_sessions() -> None:
    told = flatness([case(1_000, 80.0, 80.0), case(1_000_000, 94.0, 96.0)])
    assert told["1_listeners"]["us_per_record"] == {1_000: 100.0, 1_000_000: 114.0}
    assert told["1_listeners"]["flat"]
    assert told["2_listeners"]["most_beyond_the_fewest_sessions"] == 0.16
    assert not told["2_listeners"]["flat"]


def test_what_costs_less_with_more_sessions_is_flat() -> None:
    told = flatness([case(1_000, 80.0), case(100_000, 50.0)])
    assert told["1_listeners"]["most_beyond_the_fewest_sessions"] == 0
    assert told["1_listeners"]["flat"]
