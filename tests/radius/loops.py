"""Runs a test's coroutine on the event loops that the service may run on."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import uvloop

Run = Callable[[Coroutine[Any, Any, None]], None]


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    """Runs a coroutine to its end, which must come within 20 seconds."""

    def in_a_loop_of_its_own(scenario: Coroutine[Any, Any, None]) -> None:
        async def bounded() -> None:
            async with asyncio.timeout(20):
                await scenario

        with asyncio.Runner(loop_factory=request.param) as runner:
            runner.run(bounded())

    return in_a_loop_of_its_own
