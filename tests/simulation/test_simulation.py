"""A short run of the simulation, and that it finds what is broken. The long one is `make sim`."""

from collections.abc import Callable, Iterator

import pytest

from balances.messages import Status
from radius.engine import Request
from rating.plan import Plan
from rating.tariff import Counter, Rule, Tariff
from tests.simulation.history import live
from tests.simulation.prices import price
from tests.simulation.valkey import own_valkey


@pytest.mark.parametrize("seed", range(1, 9))
def test_what_must_hold_holds_in_every_world(seed: int) -> None:
    told = live(seed, 5_000)
    assert told.failure is None, f"{told.failure}\npython -m tests.simulation --seed {seed}"
    assert told.steps > 500
    assert told.lives > told.doubtful


def test_a_seed_is_one_history_on_every_store() -> None:
    with own_valkey() as (emptied, run):
        on_valkey = live(11, 1_500, ports=emptied(), run=run)
    assert on_valkey == live(11, 1_500)
    assert on_valkey.failure is None


def test_seeds_are_different_histories() -> None:
    assert live(1, 300).digest != live(2, 300).digest


def test_a_trace_tells_of_every_event() -> None:
    lines: list[str] = []
    told = live(3, 500, trace=lines.append)
    assert told.digest == live(3, 500).digest
    assert sum(" ms: " in line for line in lines) == told.events


# What is broken is found: each of these breaks the product in one place.


async def _answer_everything(_self: object, requests: list[Request]) -> list[Request]:
    return requests


def _grant_all(want: int, _available: int | None) -> int:
    return want


def _always_new(_store: object, _step: object, _old: object) -> Status:
    return Status.COMMITTED


def _no_job(*_arguments: object, **_more: object) -> None:
    return None


@pytest.mark.parametrize(
    ("what", "broken", "invariant"),
    [
        (
            "ratewire.pipeline.intake.Intake.handle",
            _answer_everything,
            "what is acknowledged is committed",
        ),
        ("balances.memory.booking._granted", _grant_all, "no more is granted than there is"),
        ("balances.memory.booking.Booking._judge", _always_new, ""),
        ("balances.memory.booking.enforcement.schedule", _no_job, "has a job"),
    ],
)
def test_what_is_broken_is_found(
    monkeypatch: pytest.MonkeyPatch, what: str, broken: Callable[..., object], invariant: str
) -> None:
    monkeypatch.setattr(what, broken)
    found = next(_failures(seeds=10))
    assert invariant in found


def _failures(seeds: int) -> Iterator[str]:
    for seed in range(seeds):
        told = live(seed, 3_000)
        if told.failure is not None:
            yield told.failure


def test_prices_are_worked_out_as_a_person_would() -> None:
    steps = Rule(Counter.OCTETS_TOTAL, 3, per_units=7, first_units=100, further_units=10)
    plan = Plan("p", 1, Tariff("EUR", (steps,), connect_fee_micros=5, minimum_micros=50))
    assert price(plan, (0, 0, 0)) == 0
    assert price(plan, (1, 0, 0)) == 50  # used, and below the minimum
    assert price(plan, (0, 60, 51)) == 5 + 51  # 120 billed: 51.43 micros
    assert price(plan, (0, 1, 120)) == 5 + 56  # 130 billed: 55.71 micros
