"""Word of what became due comes at once; while the store is away nobody is kept from polling."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from balances.notices import Notices
from tests.balances.conftest import Servers, emptied
from tests.balances.server import serving, valkey_program
from tests.balances.world import GENERATION, World


@pytest.fixture
async def world(servers: Servers) -> AsyncIterator[World]:
    async with emptied(servers["valkey"]) as world:
        await world.keeping.initialise(GENERATION)
        yield world


@pytest.fixture
async def notices(servers: Servers) -> AsyncIterator[Notices]:
    opened = Notices(servers["valkey"].url)
    yield opened
    await opened.close()


async def told_at_once(notices: Notices) -> bool:
    began = time.monotonic()
    return await notices.wait(5) and time.monotonic() - began < 2


async def test_nothing_is_told_until_there_is_something(world: World, notices: Notices) -> None:
    assert not await notices.wait(0)
    assert not await notices.wait(0.05)
    await world.fund(0)
    await world.book()
    assert not await notices.wait(0.05)


async def test_a_cut_is_told_at_once_and_a_deadline_is_not(world: World, notices: Notices) -> None:
    await notices.wait(0.01)
    await world.fund(0, credit_limit=100)
    await world.cut(want=100, after_ms=60_000)
    assert not await notices.wait(0.05)
    await world.cut()
    assert await told_at_once(notices)


async def test_a_top_up_of_a_session_that_is_to_be_cut_is_told(
    world: World, notices: Notices
) -> None:
    await world.fund(0)
    await world.cut(after_ms=60_000)
    await notices.wait(0.01)
    waiting = asyncio.create_task(told_at_once(notices))
    await asyncio.sleep(0.05)
    await world.top_up(50)
    assert await waiting


async def test_a_store_that_was_away_is_heard_again(tmp_path: Path) -> None:
    with serving(valkey_program(), tmp_path) as server:
        notices = Notices(server.url)
        assert not await notices.wait(0.01)
        server.kill()
        began = time.monotonic()
        assert not await notices.wait(0.1)
        assert not await notices.wait(0.1)
        assert time.monotonic() - began >= 0.2, "nobody polls faster than was asked for"
        with serving(valkey_program(), tmp_path) as again:
            async with emptied(again) as world:
                await world.keeping.initialise(GENERATION)
                await world.fund(0)
                await notices.wait(0.05)
                await world.cut()
                assert await told_at_once(notices)
        await notices.close()
