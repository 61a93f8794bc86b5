"""The journal of a listener on real UDP, before a real store that is away for a while."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from prometheus_client import REGISTRY

from balances.connection import Connection
from config.settings import JournalSettings, Settings
from ratewire.journal.clients import KeptClients
from ratewire.journal.slots import standing
from ratewire.roles import journaling, listener
from ratewire.roles.follow import NasFollower
from ratewire.wiring import System, now_ms
from tests.ratewire.apart import Apart, apart
from tests.ratewire.journal.test_segments import entry
from tests.ratewire.office import Office
from tests.ratewire.provider import SECRET
from tests.ratewire.roles.running import Speaker, eventually, running, start

MB = 1_000_000


def told(name: str) -> float:
    return REGISTRY.get_sample_value(f"ratewire_journal_{name}") or 0


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """With the shortest grace."""
    return msgspec.structs.replace(settings, journal=JournalSettings(grace_seconds=1))


@pytest.fixture
async def away(system: System, tmp_path: Path) -> AsyncIterator[Apart]:
    """The system, with a gate on its way to the store."""
    async with apart(system, tmp_path) as second:
        await second.store.open()
        await second.database.open()
        yield second


async def money(system: System) -> tuple[int, int]:
    [account] = await system.store.accounts(["acme"])
    assert account is not None
    return account.balance, account.reserved


async def test_a_nas_is_answered_while_the_store_is_away_and_charged_when_it_is_back(
    system: System,
    away: Apart,
    office: Office,
    speaker: Speaker,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By a listener that the store goes away from, and by one of another slot that starts then."""
    monkeypatch.setattr(journaling, "TRY_S", 0.05)
    monkeypatch.setattr(listener, "COUNT_S", 0.05)
    await office.subscribe(5 * MB)
    await office.add_nas()
    root = system.settings.journal_path()
    async with running(lambda stop: listener.run(away.system, stop, 1)):
        await speaker.answered(start())
        assert standing(root) is None
        await away.store.close()
        await speaker.answered(start(Acct_Status_Type=3, Acct_Output_Octets=MB))
        waits = standing(root)
        assert waits is not None

        async def is_told() -> bool:
            return told("holding") == told("records") == 1 and told("octets") == waits.octets

        await eventually(is_told)
    assert standing(root) == waits, "what waits, waits for the next process"

    async with running(lambda stop: listener.run(away.system, stop, 0)):
        await speaker.answered(start(Acct_Status_Type=2, Acct_Output_Octets=2 * MB))
        await away.store.open()

        async def is_replayed() -> bool:
            return standing(root) is None and await money(system) == (5 * MB - 4_000, 0)

        await eventually(is_replayed)

        async def is_told_again() -> bool:
            return told("holding") == told("records") == told("oldest_seconds") == 0

        await eventually(is_told_again)
        beats = await system.heartbeats.all(now_ms())
        assert all(beat.ok for beat in beats)


async def test_without_a_journal_nothing_is_answered_while_the_store_is_away(
    away: Apart, office: Office, settings: Settings, speaker: Speaker
) -> None:
    off = msgspec.structs.replace(settings, journal=JournalSettings(enabled=False, grace_seconds=1))
    system = System(off, away.system.urls)
    await office.subscribe(5 * MB)
    await office.add_nas()
    async with running(lambda stop: listener.run(system, stop, 0)):
        await speaker.answered(start())
        await away.store.close()
        interim = start(Acct_Status_Type=3, Acct_Output_Octets=MB)
        speaker.account(interim)
        assert await speaker.reply(1.2) is None
        speaker.account(interim)
        assert await speaker.reply(0.3) is None
        await away.store.open()
        await speaker.answered(interim)
    assert not off.journal_path().exists()
    await system.close()


async def test_what_was_kept_before_it_was_turned_off_is_still_seen_to(settings: Settings) -> None:
    off = msgspec.structs.replace(settings, journal=JournalSettings(enabled=False))
    assert await journaling.opened(off, 0) is None
    slot = await journaling.opened(settings, 0)
    assert slot is not None
    slot.waiting.append([entry(0)])
    slot.close()
    again = await journaling.opened(off, 0)
    assert again is not None
    assert again.waiting.records == 1
    again.close()


async def test_a_directory_that_cannot_be_used_is_told_and_no_end(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    settings.journal_path().write_text("in the way")
    assert await journaling.opened(settings, 0) is None


async def test_a_listener_that_starts_without_the_store_knows_the_nases_of_before(
    away: Apart, office: Office, tmp_path: Path
) -> None:
    kept = KeptClients(tmp_path / "clients")
    await office.add_nas()
    seen: list[list[str]] = []

    def follower() -> NasFollower:
        return NasFollower(
            away.system, lambda directory: seen.append(list(directory.clients)), kept
        )

    await follower().begin(asyncio.Event())
    await away.store.close()
    later = follower()
    await later.begin(asyncio.Event())
    assert seen == [["pop1"], ["pop1"]]
    await office.add_nas("pop2", source="192.0.2.1")
    await away.store.open()
    await later.refresh()
    assert seen[2] == ["pop1", "pop2"]
    assert SECRET not in (tmp_path / "clients").read_bytes()


async def test_a_store_that_was_emptied_takes_no_nas_away(
    system: System, office: Office, connection: Connection
) -> None:
    await office.add_nas()
    follower = NasFollower(system, lambda directory: None)
    await follower.refresh()
    await connection.command("FLUSHALL")
    await follower.refresh()
    assert list(follower.directory.clients) == ["pop1"]
