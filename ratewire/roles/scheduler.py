"""The scheduler role: brings movements to the store, and does the upkeep."""

import asyncio

from billing.database import DatabaseUnavailable, Pool
from billing.outbox.relay import Relay
from billing.upkeep.scheduler import Scheduler
from ratewire.outage import Outage
from ratewire.roles.follow import Pulse, pause
from ratewire.wiring import System, now


async def run(system: System, stop: asyncio.Event, slot: int) -> None:
    """Relay and do the upkeep until `stop` is set. Any number of these may run."""
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(Pulse(system, f"scheduler-{slot}", lambda: (True, "")).run(stop))
        pool = await _pool(system, stop)
        if pool is not None:
            if system.gateways:
                from ratewire.gateways import Cashier

                tasks.create_task(Cashier(system, pool).run(stop))
            tasks.create_task(Relay(pool, system.store).run(stop))
            mailer = await system.mailer()
            deliver = None if mailer is None else mailer.deliver
            tasks.create_task(Scheduler(pool, now, deliver).run(stop))


async def _pool(system: System, stop: asyncio.Event) -> "Pool | None":
    """Return the connections to the database as soon as there is one; None if told to stop."""
    outage = Outage("the scheduler's database")
    while not stop.is_set():
        try:
            pool = await system.pool()
        except DatabaseUnavailable as error:
            outage.failed(error)
            await pause(stop, 1.0)
        else:
            outage.works()
            return pool
    return None
