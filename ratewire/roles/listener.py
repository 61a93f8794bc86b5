"""The listener role: RADIUS in, money reserved and charged, RADIUS out."""

import asyncio
from collections.abc import Sequence

import structlog

from radius.engine import Engine, PortKind, Request
from radius.listener import Listener
from ratewire.archive import Archive
from ratewire.nas import NasDirectory
from ratewire.pipeline.intake import Intake
from ratewire.pipeline.raters import Raters
from ratewire.roles.follow import NasFollower, Pulse, pause
from ratewire.telemetry import Telemetry
from ratewire.wiring import System, now_ms

_log = structlog.get_logger(__name__)

#: How often the counts of the sockets are brought to the metrics.
COUNT_S = 1.0

#: An answer after this helps nobody: the NAS has given the request up long ago.
DRAIN_S = 5.0


async def run(system: System, stop: asyncio.Event, slot: int) -> None:
    """Serve RADIUS until `stop` is set, then answer what is in the works and return.

    Any number of these may run: the kernel spreads the NASes over their sockets.
    """
    settings = system.settings.radius
    telemetry = Telemetry("listener")
    follower = NasFollower(system, lambda directory: _replace(engines, directory))
    raters = Raters(
        system.store,
        system.terms,
        clock_ms=now_ms,
        wraps_32=follower.wraps_32,
    )
    intake = Intake(system.store, raters, Archive(system), telemetry, clock_ms=now_ms)
    engines = {
        kind: Engine(
            kind, follower.directory.table, reply_lifetime_ms=settings.reply_cache_seconds * 1000
        )
        for kind in PortKind
    }
    ports = {PortKind.ACCOUNTING: settings.acct_port, PortKind.AUTHENTICATION: settings.auth_port}
    handlers = {PortKind.ACCOUNTING: intake.handle, PortKind.AUTHENTICATION: _nothing}
    listeners = [
        Listener(
            engines[kind],
            handlers[kind],
            bind=bind,
            port=ports[kind],
            recv_buffer_octets=settings.recv_buffer_octets,
            batch=settings.batch,
            in_flight=settings.in_flight,
            now_ms=now_ms,
        )
        for kind in PortKind
        for bind in settings.bind
    ]
    await follower.begin(stop)
    for listener in listeners:
        listener.start()
    _log.info("listening", bind=settings.bind, acct_port=settings.acct_port, slot=slot)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(follower.run(stop))
        tasks.create_task(_count(listeners, telemetry, stop))
        tasks.create_task(Pulse(system, f"listener-{slot}", lambda: (True, "")).run(stop))
        await stop.wait()
        await asyncio.gather(*(each.close(timeout_seconds=DRAIN_S) for each in listeners))
    _bring_counts(listeners, telemetry)
    _log.info("stopped listening", slot=slot)


async def _nothing(requests: Sequence[Request]) -> Sequence[Request]:
    """The authentication port has no requests to handle yet: its engine drops them."""
    return requests


def _replace(engines: dict[PortKind, Engine], directory: NasDirectory) -> None:
    for engine in engines.values():
        engine.replace_clients(directory.table)


async def _count(listeners: Sequence[Listener], telemetry: Telemetry, stop: asyncio.Event) -> None:
    while not stop.is_set():
        _bring_counts(listeners, telemetry)
        await pause(stop, COUNT_S)


def _bring_counts(listeners: Sequence[Listener], telemetry: Telemetry) -> None:
    """Bring the counts of engines and sockets to the metrics."""
    for listener in listeners:
        port = listener.engine.port_kind.value
        totals = {f"dropped_{reason}": n for reason, n in listener.engine.drops.items()}
        totals |= {f"answered_{kind}": n for kind, n in listener.engine.answers.items()}
        totals |= {
            "received": listener.stats.datagrams,
            "answered": listener.stats.replies,
            "dropped_by_kernel": listener.kernel_drops() or 0,
            "failed_batches": listener.stats.failed_batches,
            "pauses": listener.stats.pauses,
        }
        for outcome, total in totals.items():
            telemetry.datagrams(port, outcome, total)
