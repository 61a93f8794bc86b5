"""One process, one role: from its settings until it is told to stop."""

import asyncio
import gc
import os
import signal
from enum import StrEnum

import structlog

from config.settings import Settings
from ratewire.wiring import System, Urls

_log = structlog.get_logger(__name__)

#: Allocations of containers, less deallocations, between two looks for cycles.
_ALLOCATIONS = 50_000

#: How often a process looks whether its supervisor still lives.
PARENT_S = 0.5


class Role(StrEnum):
    """What a process does."""

    LISTENER = "listener"
    SETTLEMENT = "settlement"
    ENFORCER = "enforcer"
    SCHEDULER = "scheduler"
    HTTP = "http"


def collect_garbage_seldom() -> None:
    """Have this process look for reference cycles after many allocations, not after 700.

    A batch makes thousands of objects and hardly a cycle, and the reply cache keeps what it gets:
    looking so often was an eighth of what a record cost the listener (`python -m bench.stages`).
    """
    gc.freeze()
    gc.set_threshold(_ALLOCATIONS, 20, 20)


async def run(settings: Settings, urls: Urls, role: Role, slot: int, parent: int | None) -> None:
    """Do one role until SIGTERM or SIGINT, or until the supervisor `parent` (a pid) is gone.

    Then it drains and returns. What it raises is a fault that a restart may mend.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    watch = None if parent is None else asyncio.create_task(_watch(parent, stop))
    system = System(settings, urls, actor=f"ratewire {role}")
    try:
        await _do(system, role, stop, slot)
    finally:
        stop.set()
        if watch is not None:
            await watch
        await system.close()


async def _do(system: System, role: Role, stop: asyncio.Event, slot: int) -> None:
    # A process loads its own role only, which halves its memory and the time until it works.
    match role:
        case Role.LISTENER:
            from ratewire.roles import listener

            await listener.run(system, stop, slot)
        case Role.SETTLEMENT:
            from ratewire.roles import settlement

            await settlement.run(system, stop)
        case Role.ENFORCER:
            from ratewire.roles import enforcer

            await enforcer.run(system, stop, slot)
        case Role.SCHEDULER:
            from ratewire.roles import scheduler

            await scheduler.run(system, stop, slot)
        case Role.HTTP:
            from ratewire.roles import http

            await http.run(system, stop, slot)


async def _watch(parent: int, stop: asyncio.Event) -> None:
    """Stop when the supervisor was killed: its successor starts processes of its own."""
    while not stop.is_set():
        if os.getppid() != parent:
            _log.error("the supervisor is gone: stopping", supervisor=parent)
            stop.set()
        await asyncio.sleep(PARENT_S)
