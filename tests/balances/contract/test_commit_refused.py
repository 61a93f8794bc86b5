"""commit: a step is refused if it was computed from what is not so any more, or cannot be."""

import asyncio
from typing import Any

import pytest
from msgspec.structs import replace

from balances.messages import COMMITTED, Outcome, Post, Status, Step, Totals
from rating.money import MAX_MICROS
from tests.balances.world import ALICE, GENERATION, NAS, SESSION, SIBLING, World

# What makes a step stale


async def stale(world: World, step: Step) -> Outcome:
    """Commit one step that must not be booked; return its outcome, which tells what is there."""
    books, account = await world.keeping.books(), await world.account()
    found = await world.find(step.session)
    (outcome,) = await world.commit(replace(step, entries=(b"never",)))
    assert outcome.status is not Status.COMMITTED
    assert outcome.session == found.session == (await world.find(step.session)).session
    assert await world.keeping.books() == books
    assert await world.account() == account
    if step.account == ALICE:
        assert outcome.account == account
    return outcome


async def test_a_session_that_another_worker_booked_first(world: World) -> None:
    await world.fund(1000)
    await world.book(want=100)
    first, second = await world.step(charge=10), await world.step(charge=10)
    assert await world.statuses(first) == [Status.COMMITTED]
    assert (await stale(world, second)).status is Status.STALE_SESSION
    assert (await world.account()).balance == 990


async def test_a_session_that_was_opened_meanwhile(world: World) -> None:
    await world.fund(1000)
    step = await world.step(want=100)
    await world.book(want=100)
    assert (await stale(world, step)).status is Status.STALE_SESSION


async def test_a_session_that_is_not_there(world: World) -> None:
    await world.fund(1000)
    step = await world.step(expected_version=GENERATION * 2**40 + 1)
    outcome = await stale(world, step)
    assert (outcome.status, outcome.session) == (Status.STALE_SESSION, None)


async def test_only_the_first_step_of_a_session_in_a_commit_is_booked(world: World) -> None:
    """The other one is told what the first made of it."""
    await world.fund(1000)
    step = await world.step(charge=10, want=100)
    first, second = await world.commit(step, step)
    assert first == COMMITTED
    assert second == Outcome(Status.STALE_SESSION, await world.session(), (await world.account()))
    assert second.account is not None
    assert second.account.balance == 990


async def test_an_account_that_is_not_there(world: World) -> None:
    step = await world.step(SESSION, "nobody")
    (outcome,) = await world.commit(step)
    assert outcome == Outcome(Status.NO_ACCOUNT)
    assert (await world.find()).session is None


@pytest.mark.parametrize("change", ["status", "subscribe"])
async def test_an_account_that_changed_what_rating_reads(world: World, change: str) -> None:
    await world.fund(1000)
    step = await world.step(want=100)
    if change == "status":
        await world.status(suspended=True)
    else:
        await world.subscribe("bob")
    assert (await stale(world, step)).status is Status.STALE_RATING


async def test_money_that_does_not_change_the_grant_makes_no_step_stale(world: World) -> None:
    await world.fund(1000)
    step = await world.step(charge=10, want=100)
    await world.top_up(5)
    await world.top_up(-50)
    await world.book(SIBLING, charge=10, want=100)
    await world.limit(3)
    assert await world.statuses(step) == [Status.COMMITTED]
    assert await world.money() == (935, 200)


async def test_money_that_changes_the_grant_makes_the_step_stale(world: World) -> None:
    await world.fund(1000)
    step = await world.step(want=1000)
    await world.book(SIBLING, want=1)
    outcome = await stale(world, step)
    assert outcome.status is Status.STALE_CREDIT
    assert outcome.account is not None
    assert await world.statuses(replace(step, grant=outcome.account.available or 0)) == [
        Status.COMMITTED
    ]
    assert (await world.session()).held == 999


async def test_a_top_up_that_enlarges_the_grant_makes_the_step_stale(world: World) -> None:
    await world.fund(10)
    step = await world.step(want=1000)
    assert step.grant == 10
    await world.top_up(5)
    assert (await stale(world, step)).status is Status.STALE_CREDIT


async def test_siblings_in_one_commit_race_for_the_last_micro(world: World) -> None:
    """One gets it; the other is told what is left after that, so one more try is enough."""
    await world.fund(1)
    steps = [await world.step(SESSION, want=1), await world.step(SIBLING, want=1)]
    first, second = await world.commit(*steps)
    assert first == COMMITTED
    assert second == Outcome(Status.STALE_CREDIT, None, await world.account())
    assert second.account is not None
    assert second.account.available == 0
    assert await world.statuses(replace(steps[1], grant=0)) == [Status.COMMITTED]


async def test_concurrent_commits_race_for_the_last_micro(world: World) -> None:
    await world.fund(100)
    steps = [await world.step(f"n|{number}", want=30) for number in range(10)]
    outcomes = await asyncio.gather(*(world.commit(step) for step in steps))
    granted = [outcome for (outcome,) in outcomes if outcome.status is Status.COMMITTED]
    assert len(granted) == 3
    assert (await world.account()).available == 10


async def test_a_nas_that_restarted_meanwhile(world: World) -> None:
    await world.fund(1000)
    step = await world.step(want=100)
    await world.hot.mark_boot(NAS, 1_700_000_000)
    assert (await stale(world, step)).status is Status.STALE_BOOT
    again = replace(step, expected_boot=1_700_000_000)
    assert await world.statuses(again) == [Status.COMMITTED]
    await world.hot.mark_boot(NAS, 1_700_001_000)
    step = await world.step(expected_boot=1_700_000_000)
    assert (await stale(world, step)).status is Status.STALE_BOOT


async def test_every_step_has_a_boot_mark_of_its_own(world: World) -> None:
    """Steps of one NAS in one commit may come from different reads."""
    await world.fund(1000)
    old = await world.step(SIBLING)
    await world.hot.mark_boot(NAS, 1_700_000_000)
    new = await world.step(SESSION)
    assert await world.statuses(new, old) == [Status.COMMITTED, Status.STALE_BOOT]


async def test_a_mark_of_another_nas_concerns_nobody(world: World) -> None:
    await world.fund(1000)
    step = await world.step()
    await world.hot.mark_boot("other", 1_700_000_000)
    assert await world.statuses(step) == [Status.COMMITTED]


# Steps that could never be booked


@pytest.mark.parametrize(
    "changes",
    [
        {"charge": -1},
        {"want": -1, "grant": -1},
        {"open": False, "want": 10, "grant": 10},
    ],
    ids=["negative charge", "negative grant", "closed with a grant"],
)
async def test_a_faulty_step_is_refused_alone(world: World, changes: dict[str, Any]) -> None:
    await world.fund(1000)
    await world.book()
    faulty = await world.step(**changes)
    good = await world.step(SIBLING, want=100)
    assert await world.statuses(faulty, good) == [Status.FAULTY, Status.COMMITTED]
    assert await world.money() == (1000, 100)


@pytest.mark.parametrize("held", [0, 100])
async def test_an_open_session_does_not_change_its_account(world: World, held: int) -> None:
    """It has to be closed first: else what it holds, or its place in an index, is left behind."""
    await world.fund(1000)
    await world.fund(1000, "carol")
    await world.book(want=held)
    step = await world.step(SESSION, "carol", want=50, grant=50)
    assert (await stale(world, step)).status is Status.FAULTY


# Bounds: amounts are exact to 2^53 - 1


async def test_balances_are_exact_at_the_bound(world: World) -> None:
    await world.fund(MAX_MICROS)
    await world.book(charge=1, want=MAX_MICROS)
    assert await world.money() == (MAX_MICROS - 1, MAX_MICROS - 1)
    await world.book(charge=MAX_MICROS - 1)
    assert await world.money() == (0, 0)
    await world.book(charge=MAX_MICROS)
    assert await world.money() == (-MAX_MICROS, 0)


async def test_a_balance_beyond_the_bound_is_refused(world: World) -> None:
    await world.fund(0)
    await world.book(charge=MAX_MICROS)
    step = await world.step(charge=1)
    assert (await stale(world, step)).status is Status.BEYOND_BOUNDS


async def test_reservations_beyond_the_bound_are_refused(world: World) -> None:
    await world.fund(0, credit_limit=None)
    await world.book(want=MAX_MICROS)
    step = await world.step(SIBLING, want=1)
    assert (await stale(world, step)).status is Status.BEYOND_BOUNDS
    await world.book(want=MAX_MICROS - 1)
    await world.book(SIBLING, want=1)
    assert (await world.account()).reserved == MAX_MICROS


@pytest.mark.parametrize("amount", [MAX_MICROS + 1, MAX_MICROS + 2, 2**62, 2**63 - 1])
@pytest.mark.parametrize("field", ["charge", "want"])
async def test_an_amount_that_cannot_be_exact_is_refused(
    world: World, field: str, amount: int
) -> None:
    """As a double 2^53 + 1 is 2^53: a balance would be wrong by one micro."""
    await world.fund(MAX_MICROS, credit_limit=None)
    changes: dict[str, Any] = {field: amount, "grant": amount if field == "want" else 0}
    step = await world.step(**changes)
    assert (await stale(world, step)).status is Status.BEYOND_BOUNDS


@pytest.mark.parametrize("less", [0, 1, 2, 3])
async def test_what_is_available_is_exact_although_its_parts_sum_beyond_the_bound(
    world: World, less: int
) -> None:
    """balance + limit is about 2^54 here, where doubles know only the even numbers."""
    await world.fund(MAX_MICROS - less, credit_limit=MAX_MICROS, minimum=MAX_MICROS - less)
    assert (await world.account()).available == MAX_MICROS
    await world.book(want=MAX_MICROS - 3)
    await world.book(SIBLING, want=MAX_MICROS)
    assert (await world.session(SIBLING)).held == 3
    assert (await world.account()).reserved == MAX_MICROS


async def test_totals_are_exact_beyond_the_bound_of_one_account(world: World) -> None:
    names = [f"a{number}" for number in range(5)]
    for name in names:
        await world.fund(0, name)
    await world.movements.apply([Post(name, 2, MAX_MICROS) for name in names])
    steps = [await world.step(f"n|{name}", name, charge=3, want=MAX_MICROS - 4) for name in names]
    assert await world.statuses(*steps) == [Status.COMMITTED] * 5
    totals = (await world.keeping.books()).totals["EUR"]
    assert totals == Totals(5 * (MAX_MICROS - 3), 5 * (MAX_MICROS - 4), 0)
