"""The enforcer role: cuts sessions, and sees to those that do not report."""

import asyncio
import resource

import structlog

from ratewire.access import expiry
from ratewire.enforcement.enforcer import MOST_SOCKETS, Enforcer
from ratewire.enforcement.subjects import Subjects
from ratewire.pipeline.raters import PlanReader, Raters
from ratewire.roles.follow import NasFollower, Pulse, pause
from ratewire.sweeper import Sweeper
from ratewire.telemetry import Telemetry
from ratewire.wiring import System, now_ms

#: What an enforcer has open besides the sockets of its exchanges, with room.
_OTHER_FILES = 256

_log = structlog.get_logger(__name__)


async def run(system: System, stop: asyncio.Event, slot: int) -> None:
    """Sweep and enforce until `stop` is set. Any number of these may run."""
    _allow_sockets(MOST_SOCKETS + _OTHER_FILES)
    telemetry = Telemetry("enforcer")
    follower = NasFollower(system, lambda _: None)
    raters = Raters(
        system.store,
        system.terms,
        clock_ms=now_ms,
        wraps_32=follower.wraps_32,
    )
    sweeper = Sweeper(system.store, system.housekeeping, raters, telemetry, clock_ms=now_ms)
    enforcer = Enforcer(
        system.housekeeping,
        sweeper,
        Subjects(system.store, PlanReader(system.store)),
        lambda: follower.directory,
        telemetry,
        clock_ms=now_ms,
    )
    await follower.begin(stop)
    _log.info("enforcing", slot=slot)
    sweeps, jobs = system.notices(), system.notices()
    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(follower.run(stop))
            tasks.create_task(sweeper.run(stop, sweeps.wait))
            tasks.create_task(enforcer.run(stop, jobs.wait))
            tasks.create_task(expiry.run(system.logins, telemetry, stop, pause))
            tasks.create_task(Pulse(system, f"enforcer-{slot}", lambda: (True, "")).run(stop))
    finally:
        await sweeps.close()
        await jobs.close()


def _allow_sockets(wanted: int) -> None:
    """Let this process open so many files, as far as the machine allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < allowed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
