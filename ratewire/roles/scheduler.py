"""The scheduler role: brings movements to the store, and does the upkeep."""

import asyncio

from billing.database import DatabaseUnavailable
from ratewire.outage import Outage
from ratewire.roles.follow import Pulse, pause
from ratewire.wiring import System


async def run(system: System, stop: asyncio.Event, slot: int) -> None:
    """Relay and schedule until `stop` is set. Any number of these may run."""
    pulse = Pulse(system, f"scheduler-{slot}", lambda: (True, ""))
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(pulse.run(stop))
        tasks.create_task(_relay(system, stop))


async def _relay(system: System, stop: asyncio.Event) -> None:
    outage = Outage("the relay's database")
    while not stop.is_set():
        try:
            relay = await system.relay()
        except DatabaseUnavailable as error:
            outage.failed(error)
            await pause(stop, 1.0)
        else:
            outage.works()
            await relay.run(stop)
