"""The fleet's process, from its start to its end."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack, suppress

import psutil
import pytest

from radius.records import AcctStatus
from ratewire.demo import traffic as module
from ratewire.demo.ground import DemoFailed, Ground
from ratewire.demo.traffic import Traffic, traffic
from tests.ratewire.fleet.loopback import bound, free_ground
from tests.ratewire.fleet.server import Server
from tests.ratewire.fleet.wire import SECRET
from tests.ratewire.roles.running import eventually

USERS = ["alice", "bob"]


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    """An accounting server."""
    made = Server()
    yield made
    made.go()


@pytest.fixture
def ground(server: Server, monkeypatch: pytest.MonkeyPatch) -> Ground:
    """Addresses that no other fleet has, and the port of the server."""
    first_address, coa_port = free_ground()
    monkeypatch.setattr(module, "COA_PORT", coa_port)
    monkeypatch.setattr(module, "_SPREAD_S", 0.0)
    return Ground(first_address, server.port, 0, 0)


def fleet_processes() -> list[psutil.Process]:
    """The fleets that this process has started and that have not ended."""
    found: list[psutil.Process] = []
    for each in psutil.Process().children():
        with suppress(psutil.ZombieProcess):  # of a test before, which nobody waits for
            if "simulate" in each.cmdline():
                found.append(each)
    return found


def begun(server: Server) -> Callable[[], Awaitable[bool]]:
    """Whether everybody has come in."""

    async def look() -> bool:
        return len(server.of(AcctStatus.START)) == len(USERS)

    return look


def ended(fleet: Traffic) -> Callable[[], Awaitable[bool]]:
    """Whether the fleet's process has ended."""

    async def look() -> bool:
        return not fleet.runs

    return look


async def test_it_begins_with_its_secret_and_ends_with_what_it_did(
    server: Server, ground: Ground
) -> None:
    async with traffic(ground, USERS) as fleet:
        assert server.records == []
        fleet.begin(SECRET)
        await eventually(begun(server))
        assert fleet.runs
        summary = await fleet.end()
        assert not fleet.runs
    assert summary is not None
    assert (summary.unanswered, summary.stops) == (0, 2)
    assert summary.records == len(server.records)
    assert {each.user_name for each in server.of(AcctStatus.STOP)} == set(USERS)
    assert fleet_processes() == []


async def test_before_it_began_it_ends_at_once(ground: Ground) -> None:
    async with traffic(ground, USERS) as fleet:
        assert fleet.runs
        assert await fleet.end() is None
    async with traffic(ground, USERS):
        assert len(fleet_processes()) == 1
    assert fleet_processes() == []


async def test_an_error_in_the_block_ends_it_as_well(ground: Ground) -> None:
    with pytest.raises(RuntimeError, match="in the block"):
        async with traffic(ground, USERS):
            raise RuntimeError("in the block")
    assert fleet_processes() == []


async def test_what_keeps_it_from_its_ground_is_told(ground: Ground) -> None:
    with ExitStack() as stack:
        bound(stack, ground.first_address, module.COA_PORT)
        async with traffic(ground, USERS) as fleet:
            fleet.begin(SECRET)

            await eventually(ended(fleet))
            with pytest.raises(DemoFailed, match=r"status 1: .*Address already in use"):
                await fleet.end()


async def test_a_fleet_that_was_killed_is_told(ground: Ground) -> None:
    async with traffic(ground, USERS) as fleet:
        [process] = fleet_processes()
        process.kill()

        await eventually(ended(fleet))
        with pytest.raises(DemoFailed, match="status -9: it said nothing"):
            await fleet.end()


async def test_a_fleet_that_does_not_end_is_killed(
    server: Server, ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ENDS_S", 0.2)
    async with traffic(ground, USERS) as fleet:
        fleet.begin(SECRET)
        await eventually(begun(server))
        [process] = fleet_processes()
        process.suspend()
        with pytest.raises(DemoFailed, match="did not end within"):
            await fleet.end()
    assert fleet_processes() == []
