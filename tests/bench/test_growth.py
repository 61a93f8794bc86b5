"""What a soak calls flat, and what not."""

import pytest

from bench.growth import (
    LAG_MS,
    LEAST_OCTETS,
    Look,
    by_median,
    by_peak,
    by_trend,
    trend,
    verdicts,
)

TIMES = [float(second) for second in range(20)]
LEVEL_OCTETS = 100 << 20


def test_a_trend_is_the_growth_over_the_whole_time() -> None:
    assert trend(TIMES, [100 + 3 * at for at in TIMES]) == pytest.approx(57)
    assert trend(TIMES, [7.0] * 20) == 0


def test_a_trend_does_not_follow_one_spike() -> None:
    spiked = [100.0] * 19 + [10_000.0]
    assert trend(TIMES, spiked) == 0


def test_only_the_second_half_of_a_trend_counts() -> None:
    """Caches fill first."""
    filling = [float(min(at, 10) * LEVEL_OCTETS) for at in range(20)]
    assert by_trend(TIMES, filling, LEAST_OCTETS).flat
    assert not by_trend(TIMES, filling[::-1][:10] + filling[:10], LEAST_OCTETS).flat


@pytest.mark.parametrize(("share", "flat"), [(0.02, True), (0.05, False)])
def test_a_trend_may_grow_by_a_small_share(share: float, flat: bool) -> None:
    half = [LEVEL_OCTETS * (1 + share * at / 9) for at in range(10)]
    assert by_trend(TIMES, [float(LEVEL_OCTETS)] * 10 + half, LEAST_OCTETS).flat is flat


def test_a_saw_is_judged_by_its_teeth() -> None:
    """Dead rows grow until a vacuum; what counts is whether the teeth do."""
    saw = [float(at % 5) * 10_000 for at in range(20)]
    assert by_peak(saw, 0).flat
    assert not by_peak([value * (1 + at / 10) for at, value in enumerate(saw)], 0).flat


def test_what_scatters_is_judged_by_its_middle() -> None:
    calm = [5.0, 6.0, 5.0, 90.0, 5.0, 6.0]
    assert by_median(calm, 0.5).flat
    assert not by_median([5.0, 6.0, 5.0, 9.0, 10.0, 9.0], 0.5).flat


def look(at: int, **changes: float) -> Look:
    """A look at a system that is level."""
    return {
        "at": float(at),
        "listener uss": LEVEL_OCTETS,
        "valkey uss": 2 * LEVEL_OCTETS + at * 500_000,
        "store used_memory": LEVEL_OCTETS + at * 500_000,
        "store keys": 200_000 + at * 1_000,
        "stream length": 10,
        "settlement lag ms": 100,
        "usage rows": 1_000_000 + at * 10_000,
        "usage dead rows": 0,
        "usage octets": 200 * (1_000_000 + at * 10_000),
        "tiny rows": 1,
        "tiny dead rows": 50,
        "tiny octets": 8192,
    } | changes


MINUTES = [{"p50_ms": 2.0, "p99_ms": 8.0}] * 20


def test_a_level_system_is_flat_though_its_records_add_up() -> None:
    judged = verdicts([look(at) for at in range(20)], MINUTES)
    assert all(each["flat"] for each in judged.values()), judged
    assert "usage octets a row" in judged
    assert "tiny octets a row" not in judged


@pytest.mark.parametrize(
    ("name", "first", "step", "judged_as"),
    [
        ("listener uss", LEVEL_OCTETS, 1 << 20, "listener uss"),
        ("valkey uss", 2 * LEVEL_OCTETS, 2 << 20, "valkey uss beyond its data"),
        ("stream length", 0, 1_000, "stream length"),
        ("settlement lag ms", LAG_MS, 1, "settlement lag ms"),
        ("usage octets", 200 * 1_000_000, 200 * 30_000, "usage octets a row"),
        ("usage dead rows", 0, 10_000, "usage dead rows"),
    ],
)
def test_what_grows_is_named(name: str, first: float, step: float, judged_as: str) -> None:
    looks = [look(at, **{name: first + at * step}) for at in range(20)]
    judged = verdicts(looks, MINUTES)
    assert {each for each, verdict in judged.items() if not verdict["flat"]} == {judged_as}


def test_a_store_whose_keys_grow_is_named() -> None:
    """More keys are closed sessions; more octets for each of them are not."""
    looks = [
        look(at, **{"store used_memory": 2 * LEVEL_OCTETS + at * at * 50_000, "valkey uss": 1e9})
        for at in range(20)
    ]
    judged = verdicts(looks, MINUTES)
    assert not judged["store octets a key added"]["flat"]
    assert judged["valkey uss beyond its data"]["flat"]


def test_latency_that_grows_is_named() -> None:
    minutes = [{"p50_ms": 2.0, "p99_ms": 8.0 + at} for at in range(20)]
    judged = verdicts([look(at) for at in range(20)], minutes)
    assert not judged["latency p99_ms"]["flat"]
    assert judged["latency p50_ms"]["flat"]
