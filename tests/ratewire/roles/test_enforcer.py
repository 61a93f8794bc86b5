"""The enforcer role, on the wall clock: what is due is done at once, after a restart as well."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from balances.connection import Connection
from ratewire.roles import enforcer
from ratewire.wiring import System
from tests.ratewire.enforcement.nas import Nas, ack, listening
from tests.ratewire.office import Office
from tests.ratewire.provider import INTERIM, START, STOP, Provider
from tests.ratewire.roles.running import eventually, running
from tests.ratewire.today import today

MB = 1_000_000


@pytest.fixture
def provider(connection: Connection, office: Office) -> Provider:
    """Workers on the books of the system."""
    return today(connection)


@pytest.fixture
async def nas(office: Office) -> AsyncIterator[Nas]:
    """A NAS that obeys, which is configured."""
    async with listening(ack) as peer:
        await office.add_nas(coa_port=peer.port)
        yield peer


async def test_what_was_due_when_it_starts_is_sent_to_the_nas(
    system: System,
    office: Office,
    provider: Provider,
    nas: Nas,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its predecessor was killed: no job may be put off because the NASes are not known yet."""
    revision = system.store.revision

    async def slow(what: str) -> int:
        await asyncio.sleep(0.3)
        return await revision(what)

    monkeypatch.setattr(system.store, "revision", slow)
    await office.subscribe(0)
    await provider.told(START, source_host="127.0.0.1")
    async with running(lambda stop: enforcer.run(system, stop, 0)):
        await asyncio.wait_for(nas.asked.wait(), 5)

        async def acknowledged() -> bool:
            return [job.state for job in await provider.jobs()] == ["acknowledged"]

        await eventually(acknowledged)
        await provider.told(STOP, 1, 0, 0)
        assert await provider.jobs() == []


async def test_the_record_that_exhausts_is_followed_by_the_disconnect_at_once(
    system: System, office: Office, provider: Provider, nas: Nas
) -> None:
    await office.subscribe(50_000)
    async with running(lambda stop: enforcer.run(system, stop, 0)):
        await provider.told(START, source_host="127.0.0.1")
        await asyncio.sleep(0.3)
        assert nas.requests == []
        await provider.told(INTERIM, 60, 0, 30 * MB, source_host="127.0.0.1")
        loop = asyncio.get_running_loop()
        began = loop.time()
        await asyncio.wait_for(nas.asked.wait(), 5)
        assert loop.time() - began < 1


async def test_a_top_up_extends_a_session_before_its_deadline(
    system: System, office: Office, provider: Provider, nas: Nas
) -> None:
    await office.subscribe(10_000)
    async with running(lambda stop: enforcer.run(system, stop, 0)):
        await provider.told(START)
        assert len(await provider.jobs()) == 1
        await office.top_up(5 * MB)

        async def granted() -> bool:
            return (await provider.session()).held == 40_000 and await provider.jobs() == []

        await eventually(granted, seconds=2)
    assert nas.requests == []


async def test_a_suspension_cuts_at_once(
    system: System, office: Office, provider: Provider, nas: Nas
) -> None:
    await office.subscribe(5 * MB)
    async with running(lambda stop: enforcer.run(system, stop, 0)):
        await provider.told(START, source_host="127.0.0.1")
        await office.suspend()
        await asyncio.wait_for(nas.asked.wait(), 5)
        assert (await provider.money())[1] == 0
