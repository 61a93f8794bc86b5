"""Is it alive, can it serve: /healthz and /readyz."""

from collections.abc import Mapping

import msgspec

from balances.errors import StoreError
from balances.health import SILENCE_MS, Beat, memory
from billing.database import schema_version, unavailable, within
from ratewire.journal.slots import standing
from ratewire.wiring import System, now_ms

#: The database is given so long to answer (seconds).
PATIENCE_S = 2.0

#: Roles without which the main job does not run.
NEEDED = ("listener", "settlement", "enforcer")


class Readiness(msgspec.Struct, frozen=True):
    """Whether the system does its work; `checks` says of each part "ok" or what is wrong."""

    ready: bool
    checks: Mapping[str, str]


async def readiness(system: System) -> Readiness:
    """Return whether records are taken, charged, settled and enforced now."""
    checks = {
        "store": await _store(system),
        "database": await _database(system),
        "journal": _journal(system),
    }
    beats: list[Beat] = []
    if checks["store"] == "ok":
        beats = await system.heartbeats.all(now_ms())
    for role in NEEDED:
        checks[role] = _role(role, beats, now_ms())
    return Readiness(all(each == "ok" for each in checks.values()), checks)


async def _store(system: System) -> str:
    try:
        books = await system.stream.books()
        room = await memory(system.connection)
    except StoreError as error:
        return str(error)
    if room.full:
        return (
            f"full: {room.used} of {room.bound} octets, with {books.settled_lag} entries to be"
            " settled; no record is booked until there is room"
        )
    return "ok" if books.fence is None else f"fenced: {books.fence}"


def _journal(system: System) -> str:
    """What waits on this machine; a listener elsewhere tells of its own by its beat."""
    try:
        waits = standing(system.settings.journal_path())
    except OSError as error:
        return str(error)
    return "ok" if waits is None else str(waits)


async def _database(system: System) -> str:
    try:
        version = await within(PATIENCE_S, _schema_version(system))
    except Exception as error:
        if unavailable(error):
            return str(error) or type(error).__name__
        raise
    return "ok" if version is not None else "it has no schema: run 'ratewire migrate'"


async def _schema_version(system: System) -> str | None:
    pool = await system.pool()
    async with pool.acquire() as conn:
        return await schema_version(conn)


def _role(role: str, beats: list[Beat], at_ms: int) -> str:
    alive = [
        beat
        for beat in beats
        if beat.name.partition("-")[0] == role and beat.at_ms >= at_ms - SILENCE_MS
    ]
    if not alive:
        return "no such process is running"
    wrong = [f"{beat.name}: {beat.detail}" for beat in alive if not beat.ok]
    return "; ".join(wrong) or "ok"
