"""The journal of a listener on real UDP, before a real store that is away for a while."""

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from prometheus_client import REGISTRY

from config.settings import JournalSettings, Settings
from ratewire.journal.slots import standing
from ratewire.roles import journaling, listener
from ratewire.wiring import System, Urls, now_ms
from tests.ratewire.office import Office
from tests.ratewire.roles.running import Speaker, eventually, running, start
from tests.support.gate import Gate

MB = 1_000_000


def told(name: str) -> float:
    return REGISTRY.get_sample_value(f"ratewire_journal_{name}") or 0


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """With the shortest grace."""
    return msgspec.structs.replace(settings, journal=JournalSettings(grace_seconds=1))


@pytest.fixture
async def gate(system: System, tmp_path: Path) -> AsyncIterator[Gate]:
    """The road to the store, open."""
    gate = Gate(tmp_path / "s", Path(system.urls.store.removeprefix("unix://")))
    await gate.open()
    yield gate
    await gate.close()


@pytest.fixture
async def away(
    system: System, settings: Settings, gate: Gate, tmp_path: Path
) -> AsyncIterator[System]:
    """The system behind the gate."""
    apart = System(settings, Urls(f"unix://{tmp_path / 's'}", system.urls.database))
    yield apart
    await apart.close()


async def money(system: System) -> tuple[int, int]:
    [account] = await system.store.accounts(["acme"])
    assert account is not None
    return account.balance, account.reserved


async def test_a_nas_is_answered_while_the_store_is_away_and_charged_when_it_is_back(
    system: System,
    away: System,
    office: Office,
    speaker: Speaker,
    gate: Gate,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By a listener that the store goes away from, and by one of another slot that starts then."""
    monkeypatch.setattr(journaling, "TRY_S", 0.05)
    monkeypatch.setattr(listener, "COUNT_S", 0.05)
    await office.subscribe(5 * MB)
    await office.add_nas()
    root = system.settings.journal_path()
    async with running(lambda stop: listener.run(away, stop, 1)):
        await speaker.answered(start())
        assert standing(root) is None
        await gate.close()
        await speaker.answered(start(Acct_Status_Type=3, Acct_Output_Octets=MB))
        waits = standing(root)
        assert waits is not None

        async def is_told() -> bool:
            return told("holding") == told("records") == 1 and told("octets") == waits.octets

        await eventually(is_told)
    assert standing(root) == waits, "what waits, waits for the next process"

    async with running(lambda stop: listener.run(away, stop, 0)):
        await speaker.answered(start(Acct_Status_Type=2, Acct_Output_Octets=2 * MB))
        await gate.open()

        async def is_replayed() -> bool:
            return standing(root) is None and await money(system) == (5 * MB - 4_000, 0)

        await eventually(is_replayed)

        async def is_told_again() -> bool:
            return told("holding") == told("records") == told("oldest_seconds") == 0

        await eventually(is_told_again)
        beats = await system.heartbeats.all(now_ms())
        assert all(beat.ok for beat in beats)


async def test_without_a_journal_nothing_is_answered_while_the_store_is_away(
    system: System,
    office: Office,
    settings: Settings,
    speaker: Speaker,
    gate: Gate,
    tmp_path: Path,
) -> None:
    off = msgspec.structs.replace(settings, journal=JournalSettings(enabled=False, grace_seconds=1))
    apart = System(off, Urls(f"unix://{tmp_path / 's'}", system.urls.database))
    await office.subscribe(5 * MB)
    await office.add_nas()
    async with running(lambda stop: listener.run(apart, stop, 0)):
        await speaker.answered(start())
        await gate.close()
        interim = start(Acct_Status_Type=3, Acct_Output_Octets=MB)
        speaker.account(interim)
        assert await speaker.reply(1.2) is None
        speaker.account(interim)
        assert await speaker.reply(0.3) is None
        await gate.open()
        await speaker.answered(interim)
    assert not off.journal_path().exists()
    await apart.close()


async def test_a_directory_that_cannot_be_used_is_told_and_no_end(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    settings.journal_path().write_text("in the way")
    assert await journaling.opened(settings, 0) is None
