"""The local journal in a listener: opened, watched, counted."""

import asyncio
import time

import structlog

from config.settings import Settings
from ratewire.journal.keeper import Keeper
from ratewire.journal.slots import Slot, abandoned, claim, is_empty
from ratewire.roles.follow import pause
from ratewire.telemetry import Telemetry
from ratewire.wiring import now_ms

_log = structlog.get_logger(__name__)

#: How often the store is tried while it fails.
TRY_S = 0.5

#: How often it is looked for what another process has left behind.
INHERIT_S = 10.0

#: How often what was set aside is tried again.
ASIDE_S = 60.0

_MEBIOCTET = 1024 * 1024


async def opened(settings: Settings, slot: int) -> Slot | None:
    """Take the directory of a listener's slot; None without a journal.

    What waits from a time in which there was one has to be replayed.
    """
    try:
        if not settings.journal.enabled and is_empty(settings.journal_path()):
            return None
        return await asyncio.to_thread(
            lambda: claim(
                settings.journal_path(),
                slot,
                max_octets=settings.journal.max_mb * _MEBIOCTET,
                now_ms=now_ms,
            )
        )
    except OSError as error:
        # A listener without a journal is better than none.
        _log.error("the journal cannot be used", error=str(error))
        return None


async def watch(keeper: Keeper, settings: Settings, stop: asyncio.Event) -> None:
    """See to the journal until `stop` is set: the store, what others left, what was set aside."""
    inherit_at, aside_at = 0.0, time.monotonic() + TRY_S
    while not stop.is_set():
        if time.monotonic() >= inherit_at:
            await inherit(keeper, settings)
            inherit_at = time.monotonic() + INHERIT_S
        await keeper.watch(stop)
        if time.monotonic() >= aside_at:
            await keeper.retry_aside()
            aside_at = time.monotonic() + ASIDE_S
        await pause(stop, TRY_S)


async def inherit(keeper: Keeper, settings: Settings) -> None:
    """Take over what processes that are no more have left behind."""
    octets = settings.journal.max_mb * _MEBIOCTET
    found: list[Slot] = []
    try:
        await asyncio.to_thread(
            lambda: found.extend(
                abandoned(settings.journal_path(), max_octets=octets, now_ms=now_ms)
            )
        )
    except OSError as error:
        _log.warning("what was left behind in the journal cannot be read", error=str(error))
    keeper.inherit(found)


def bring_figures(keeper: Keeper, telemetry: Telemetry) -> None:
    """Bring the state of the journal to the metrics."""
    waiting = keeper.waiting
    oldest = [each.oldest_ms for each in waiting if each.oldest_ms is not None]
    telemetry.journal(
        holding=keeper.holds,
        records=sum(each.records for each in waiting),
        octets=sum(each.octets for each in waiting) + keeper.aside.octets,
        oldest_seconds=max(0, now_ms() - min(oldest)) / 1000 if oldest else 0,
        aside=keeper.aside.records,
    )
