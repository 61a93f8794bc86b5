"""What every role follows: the NASes that are configured, and that it lives."""

import asyncio
from pathlib import Path

import pytest

from balances.connection import Connection
from config.settings import Settings
from ratewire.nas import NasDirectory
from ratewire.roles import follow
from ratewire.roles.follow import NasFollower, Pulse, pause
from ratewire.wiring import System, Urls, now_ms
from tests.ratewire.apart import apart
from tests.ratewire.office import Office
from tests.ratewire.roles.running import eventually, running


def nowhere(directory: Path) -> Urls:
    """Where no servers are."""
    return Urls(f"unix://{directory / 'nothing'}", f"postgresql://x@/x?host={directory}")


async def test_the_directory_is_read_when_it_has_moved_and_only_then(
    system: System, office: Office
) -> None:
    seen: list[NasDirectory] = []
    follower = NasFollower(system, seen.append)
    await follower.refresh()
    await follower.refresh()
    assert [list(each.clients) for each in seen] == [[]]
    await office.add_nas()
    await follower.refresh()
    await follower.refresh()
    assert [list(each.clients) for each in seen] == [[], ["pop1"]]
    assert follower.directory is seen[-1]


async def test_it_waits_for_the_first_directory_and_then_outlasts_the_store(
    system: System, office: Office, tmp_path: Path
) -> None:
    await office.add_nas()
    async with apart(system, tmp_path) as (second, store, _):
        follower = NasFollower(second, lambda directory: None)
        beginning = asyncio.create_task(follower.begin(asyncio.Event()))
        await asyncio.sleep(0.1)
        assert not beginning.done(), "there is no directory yet"
        await store.open()
        await asyncio.wait_for(beginning, 5)
        assert list(follower.directory.clients) == ["pop1"]
        async with running(follower.run):
            await store.close()
            await asyncio.sleep(2 * follow.POLL_S)
            assert list(follower.directory.clients) == ["pop1"]
            await office.add_nas("pop2", source="192.0.2.1")
            await store.open()

            async def both() -> bool:
                return list(follower.directory.clients) == ["pop1", "pop2"]

            await eventually(both)


async def test_whoever_waits_for_the_first_directory_can_be_told_to_stop(
    settings: Settings, tmp_path: Path
) -> None:
    system = System(settings, nowhere(tmp_path))
    follower = NasFollower(system, lambda directory: None)
    stop = asyncio.Event()
    beginning = asyncio.create_task(follower.begin(stop))
    await asyncio.sleep(0.05)
    stop.set()
    await asyncio.wait_for(beginning, 1)
    await system.close()


async def test_a_pulse_tells_how_it_is_and_says_goodbye(
    system: System, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follow, "BEAT_S", 0.02)
    state = (True, "")
    pulse = Pulse(system, "listener-0", lambda: state, lambda: {"settled": 7})

    async def tells(ok: bool, detail: str) -> bool:
        beats = await system.heartbeats.all(now_ms())
        return [(each.name, each.ok, each.detail) for each in beats] == [("listener-0", ok, detail)]

    async with running(pulse.run):
        await eventually(lambda: tells(True, ""))
        [beat] = await system.heartbeats.all(now_ms())
        assert beat.figures == {"settled": 7}
        state = (False, "out of work")
        await eventually(lambda: tells(False, "out of work"))
    assert await system.heartbeats.all(now_ms()) == []


async def test_a_pulse_without_a_store_is_no_fault(settings: Settings, tmp_path: Path) -> None:
    system = System(settings, nowhere(tmp_path))
    async with running(Pulse(system, "listener-0", lambda: (True, "")).run):
        await asyncio.sleep(0.05)
    await system.close()


async def test_a_pause_ends_when_it_is_told_to() -> None:
    stop = asyncio.Event()
    await pause(stop, 0.01)
    stop.set()
    async with asyncio.timeout(1):
        await pause(stop, 60)
