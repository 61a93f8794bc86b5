"""SettlementStream: the committed entries, in order."""

import asyncio
import time

from balances.messages import Position, StreamEntry
from tests.balances.world import BEGINNING, GENERATION, World


async def append(world: World, *batches: bytes) -> None:
    for batch in batches:
        await world.hot.commit([], [batch])


def entry(sequence: int, *loose: bytes) -> StreamEntry:
    return StreamEntry(Position(GENERATION, sequence), [(b"0", one) for one in loose])


async def test_new_books_have_no_entries(world: World) -> None:
    assert await world.stream.entries_after(BEGINNING, 10) == []
    assert (await world.keeping.books()).settled_lag == 0


async def test_entries_are_numbered_without_a_gap(world: World) -> None:
    await world.fund(100)
    await append(world, b"a")
    await world.book(charge=1)  # nothing of it goes to the stream
    await world.hot.commit([], [b"b", b"c"])
    await append(world, b"\x00\xff")
    expected = [entry(1, b"a"), entry(2, b"b", b"c"), entry(3, b"\x00\xff")]
    assert await world.stream.entries_after(BEGINNING, 10) == expected
    books = await world.keeping.books()
    assert (books.position, books.settled_lag) == (Position(GENERATION, 3), 3)


async def test_reading_goes_on_from_the_last_entry_taken(world: World) -> None:
    await append(world, b"a", b"b", b"c")
    read = world.stream.entries_after
    assert await read(BEGINNING, 2) == [entry(1, b"a"), entry(2, b"b")]
    assert await read(Position(GENERATION, 2), 2) == [entry(3, b"c")]
    assert await read(Position(GENERATION, 3), 2) == []
    assert await read(BEGINNING, 1) == [entry(1, b"a")]  # reading takes nothing away


async def test_settled_entries_are_forgotten(world: World) -> None:
    await append(world, b"a", b"b", b"c")
    await world.stream.trim(Position(GENERATION, 2))
    assert await world.stream.entries_after(BEGINNING, 10) == [entry(3, b"c")]
    assert (await world.keeping.books()).settled_lag == 1
    await world.stream.trim(Position(GENERATION, 1))
    assert (await world.keeping.books()).settled_lag == 1


async def test_the_numbers_go_on_after_everything_was_settled(world: World) -> None:
    await append(world, b"a", b"b")
    await world.stream.trim(Position(GENERATION, 2))
    assert await world.stream.entries_after(BEGINNING, 10) == []
    await append(world, b"c")
    assert await world.stream.entries_after(BEGINNING, 10) == [entry(3, b"c")]


async def test_trimming_an_empty_stream_is_no_work(world: World) -> None:
    await world.stream.trim(BEGINNING)
    await world.stream.trim(Position(GENERATION, 7))
    await append(world, b"a")
    assert await world.stream.entries_after(BEGINNING, 10) == [entry(1, b"a")]


async def test_entries_of_an_older_generation_come_first(world: World) -> None:
    """Whoever reads from a foreign generation sees that it is one."""
    await append(world, b"a")
    assert await world.stream.entries_after(Position(0, 99), 10) == [entry(1, b"a")]
    assert await world.stream.entries_after(Position(2, 0), 10) == []


async def test_waiting_ends_with_the_first_entry(world: World) -> None:
    waiting = asyncio.create_task(world.stream.entries_after(BEGINNING, 10, 60_000))
    await asyncio.sleep(0)
    found: list[StreamEntry] = []
    await append(world, b"a")
    while not found:
        # A store may answer early with nothing; then one asks again.
        found = await waiting
        waiting = asyncio.create_task(world.stream.entries_after(BEGINNING, 10, 60_000))
    waiting.cancel()
    assert found == [entry(1, b"a")]


async def test_waiting_ends_in_time_without_an_entry(world: World) -> None:
    began = time.monotonic()
    assert await world.stream.entries_after(BEGINNING, 10, 50) == []
    assert 0.04 < time.monotonic() - began < 5


async def test_what_is_there_is_not_waited_for(world: World) -> None:
    await append(world, b"a")
    began = time.monotonic()
    assert await world.stream.entries_after(BEGINNING, 10, 5000) == [entry(1, b"a")]
    assert time.monotonic() - began < 2


async def test_one_waits_while_the_other_commits(world: World) -> None:
    """Waiting holds nobody up."""
    waiting = asyncio.create_task(world.stream.entries_after(Position(GENERATION, 50), 10, 60_000))
    await asyncio.sleep(0)
    async with asyncio.timeout(5):
        await append(world, *(b"%d" % number for number in range(20)))
    waiting.cancel()
    assert (await world.keeping.books()).settled_lag == 20
