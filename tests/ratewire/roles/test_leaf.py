"""One process, one role: what ends it."""

import asyncio
import gc
import os
import signal
import socket
from pathlib import Path

import aiohttp
import pytest

from config.settings import Settings
from ratewire.roles import leaf
from ratewire.roles.leaf import Role
from ratewire.wiring import System, Urls
from tests.ratewire.office import Office
from tests.ratewire.roles.running import eventually


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_it_in_good_order(
    system: System, office: Office, settings: Settings, number: signal.Signals
) -> None:
    role = asyncio.create_task(leaf.run(settings, system.urls, Role.HTTP, 0, os.getppid()))

    async def serves() -> bool:
        try:
            async with (
                aiohttp.ClientSession() as client,
                client.get(f"http://127.0.0.1:{settings.http.port}/healthz") as response,
            ):
                return response.status == 200
        except aiohttp.ClientConnectionError:
            return False

    await eventually(serves)
    os.kill(os.getpid(), number)
    async with asyncio.timeout(10):
        await role
    assert not await serves()


async def test_without_its_supervisor_no_role_goes_on(
    system: System, office: Office, settings: Settings
) -> None:
    """A successor starts processes of its own: two of each would fight for the ports."""
    somebody_else = os.getpid()
    async with asyncio.timeout(15):
        for role in Role:
            await leaf.run(settings, system.urls, role, 0, somebody_else)


async def test_a_fault_of_a_role_is_the_process_s(settings: Settings, tmp_path: Path) -> None:
    """The supervisor sees its status, and starts it again."""
    nowhere = Urls(f"unix://{tmp_path / 'nothing'}", f"postgresql://x@/x?host={tmp_path}")
    with socket.create_server(("127.0.0.1", settings.http.port)):
        async with asyncio.timeout(10):
            with pytest.raises(OSError, match="address already in use"):
                await leaf.run(settings, nowhere, Role.HTTP, 0, None)


def test_garbage_is_collected_seldom_but_still_collected() -> None:
    before = gc.get_threshold()
    try:
        leaf.collect_garbage_seldom()
        assert gc.isenabled()
        assert before[0] < gc.get_threshold()[0] <= 100_000
    finally:
        gc.unfreeze()
        gc.set_threshold(*before)
