"""The store in memory as a store of simulated worlds; its answers are in the contract's tests."""

import asyncio

from balances.memory import MemoryStore
from balances.memory.partition import LATE_WINDOW_MS
from balances.memory.store import BOOT_REPEAT_S
from balances.messages import Position
from balances.store import BOOT_REPEAT_S as SERVER_BOOT_REPEAT_S
from tests.balances.world import SESSION, World, memory_world


async def a_history(world: World) -> None:
    await world.keeping.initialise(1)
    await world.fund(1000)
    for number in range(20):
        await world.book(f"n|{number}", want=10 * number, entries=(b"x",))
        world.pass_ms(100)
    await world.cut("n|3", charge=900, entries=(b"y",))
    await world.top_up(5)
    await world.due()
    await world.jobs.request_disconnect("n|5")


async def test_the_same_history_leaves_the_same_books() -> None:
    worlds = [memory_world(), memory_world()]
    for world in worlds:
        await a_history(world)
    first, second = [
        (
            await world.keeping.books(),
            await world.stream.entries_after(Position(0, 0), 1000),
            await world.due(),
            await world.jobs.claim_jobs(10, 1000),
        )
        for world in worlds
    ]
    assert first == second


async def test_a_closed_session_is_unknown_after_the_late_window() -> None:
    world = memory_world()
    await world.keeping.initialise(1)
    await world.fund(1000)
    await world.book(want=10)
    await world.book(open=False)
    world.pass_ms(LATE_WINDOW_MS - 1)
    assert (await world.find()).session is not None
    world.pass_ms(1)
    assert (await world.find()).session is None
    await world.book(SESSION, want=10)
    assert (await world.session()).open


async def test_its_clock_is_the_callers() -> None:
    times = iter((5, 9))
    store = MemoryStore(lambda: next(times))
    await store.initialise(1)
    assert (await store.read([])).now_ms == 5
    assert (await store.commit([])).now_ms == 9


async def test_who_gives_up_waiting_leaves_nothing_behind() -> None:
    world = memory_world()
    await world.keeping.initialise(1)
    waiting = asyncio.create_task(world.stream.entries_after(Position(1, 0), 10, 60_000))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    await world.hot.commit([], [b"x"])
    assert len(await world.stream.entries_after(Position(1, 0), 10)) == 1


def test_it_takes_the_same_boots_for_repetitions_as_the_server() -> None:
    assert BOOT_REPEAT_S == SERVER_BOOT_REPEAT_S
