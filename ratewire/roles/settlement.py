"""The settlement role: what is committed in the store comes to the ledger."""

import asyncio
from collections.abc import Mapping

import structlog

from balances.errors import StoreError
from billing.database import DatabaseUnavailable, unavailable
from billing.settlement.consumer import Condition, SettlementStopped, Settler
from ratewire.outage import Outage
from ratewire.roles.follow import Pulse, pause
from ratewire.telemetry import Telemetry
from ratewire.wiring import System

_log = structlog.get_logger(__name__)

#: What remains in the stream when we stop is settled, if it does not take longer than this.
DRAIN_S = 20.0
DRAIN_ENTRIES = 64


async def run(system: System, stop: asyncio.Event) -> None:
    """Settle until `stop` is set, then what is left in the stream, and return."""
    telemetry = Telemetry("settlement")
    settler = await _settler(system, stop, telemetry)
    if settler is None:
        return
    pulse = Pulse(
        system, "settlement", lambda: _health(settler), lambda: _figures(settler, telemetry)
    )
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(pulse.run(stop))
        await settler.run(stop)
    await _drain(settler)


async def _settler(system: System, stop: asyncio.Event, telemetry: Telemetry) -> Settler | None:
    outage = Outage("the settlement's database")
    while not stop.is_set():
        try:
            settler = await system.settler(lambda seconds: telemetry.stage("settle", seconds))
        except DatabaseUnavailable as error:
            outage.failed(error)
            await pause(stop, 1.0)
        else:
            outage.works()
            return settler
    return None


def _health(settler: Settler) -> tuple[bool, str]:
    return settler.condition is not Condition.STOPPED, settler.trouble or ""


def _figures(settler: Settler, telemetry: Telemetry) -> Mapping[str, int]:
    counts = settler.counts
    for name, total in (
        ("batches", counts.batches),
        ("entries", counts.entries),
        ("items", counts.items),
        ("parked", counts.parked),
    ):
        telemetry.total(f"settled_{name}", total)
    return {"settled": counts.items, "parked": counts.parked}


async def _drain(settler: Settler) -> None:
    """Settle what was committed before the listeners stopped."""
    try:
        async with asyncio.timeout(DRAIN_S):
            while await settler.settle_once(DRAIN_ENTRIES):
                pass
    except (TimeoutError, StoreError, SettlementStopped) as error:
        _log.warning("not all is settled; the rest is when it runs again", error=str(error))
    except Exception as error:
        if not unavailable(error):
            raise
        _log.warning("not all is settled; the rest is when it runs again", error=str(error))
