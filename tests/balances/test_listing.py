"""Walks through what is open: each session once, however many there are, closed ones never."""

from collections.abc import AsyncIterator

import pytest

from balances.listing import CHUNK, Listing
from tests.balances.conftest import Servers, emptied
from tests.balances.world import GENERATION, SESSION, World


@pytest.fixture
async def world(servers: Servers) -> AsyncIterator[World]:
    async with emptied(servers["valkey"]) as world:
        await world.keeping.initialise(GENERATION)
        await world.fund(10**6)
        yield world


@pytest.fixture
def listing(world: World) -> Listing:
    return Listing(world.server)


async def test_every_open_session_is_seen_once(world: World, listing: Listing) -> None:
    count = 2 * CHUNK + 100
    steps = [await world.step(f"n|{number}") for number in range(count)]
    for first in range(0, count, 500):
        await world.commit(*steps[first : first + 500])
    await world.book("n|7", open=False)
    seen = [each.session async for each in listing.open_sessions()]
    assert sorted(seen) == sorted(f"n|{number}" for number in range(count) if number != 7)
    assert [each.session async for each in listing.of_account("alice")] != []
    assert {each.session async for each in listing.of_account("alice")} == set(seen)


async def test_those_of_an_account_are_its_own(world: World, listing: Listing) -> None:
    await world.fund(100, "bob")
    await world.book("n|alice's", want=10)
    await world.book("n|bob's", "bob", want=10)
    [found] = [each async for each in listing.of_account("bob")]
    assert (found.session, found.stored.account, found.stored.held) == ("n|bob's", "bob", 10)
    assert [each async for each in listing.of_account("nobody")] == []


async def test_one_session_is_found_open_or_closed(world: World, listing: Listing) -> None:
    assert await listing.session(SESSION) is None
    await world.book(want=10)
    for is_open in (True, False):
        await world.book(open=is_open)
        found = await listing.session(SESSION)
        assert found is not None
        assert (found.session, found.stored.open) == (SESSION, is_open)


async def test_a_session_that_closes_during_a_walk_is_not_shown_as_open(
    world: World, listing: Listing
) -> None:
    count = CHUNK + 100
    steps = [await world.step(f"n|{number}") for number in range(count)]
    for first in range(0, count, 500):
        await world.commit(*steps[first : first + 500])
    shown: set[str] = set()
    async for each in listing.open_sessions():
        if not shown:
            for number in range(count):
                if f"n|{number}" != each.session and number % 50 == 0:
                    await world.book(f"n|{number}", open=False)
        shown.add(each.session)
    assert len(shown) >= count - 2 * count // 50
