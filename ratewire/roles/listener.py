"""The listener role: RADIUS in, money reserved and charged, RADIUS out."""

import asyncio
from collections.abc import Sequence

import structlog

from config.settings import Settings
from radius.engine import Engine, PortKind, Request
from radius.listener import Listener
from ratewire.archive import Archive
from ratewire.journal.clients import KeptClients
from ratewire.journal.keeper import Keeper
from ratewire.journal.slots import Slot
from ratewire.nas import NasDirectory
from ratewire.pipeline.intake import Intake
from ratewire.pipeline.raters import Raters
from ratewire.roles import journaling
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
    journal = await journaling.opened(system.settings, slot)
    kept = None if journal is None else KeptClients(system.settings.journal_path() / "clients")
    follower = NasFollower(system, lambda directory: _replace(engines, directory), kept)
    raters = Raters(
        system.store,
        system.terms,
        clock_ms=now_ms,
        wraps_32=follower.wraps_32,
    )
    intake = Intake(system.store, raters, Archive(system), telemetry, clock_ms=now_ms)
    keeper = None if journal is None else _keeper(system.settings, intake, journal, telemetry)
    engines = {
        kind: Engine(
            kind, follower.directory.table, reply_lifetime_ms=settings.reply_cache_seconds * 1000
        )
        for kind in PortKind
    }
    ports = {PortKind.ACCOUNTING: settings.acct_port, PortKind.AUTHENTICATION: settings.auth_port}
    handlers = {
        PortKind.ACCOUNTING: intake.handle if keeper is None else keeper.handle,
        PortKind.AUTHENTICATION: _nothing,
    }
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
            on_stage=telemetry.stage,
        )
        for kind in PortKind
        for bind in settings.bind
    ]
    await follower.begin(stop)
    if keeper is not None:
        await journaling.inherit(keeper, system.settings)
    for listener in listeners:
        listener.start()
    _log.info("listening", bind=settings.bind, acct_port=settings.acct_port, slot=slot)
    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(follower.run(stop))
            tasks.create_task(_count(listeners, keeper, telemetry, stop))
            tasks.create_task(Pulse(system, f"listener-{slot}", lambda: _health(keeper)).run(stop))
            if keeper is not None:
                tasks.create_task(journaling.watch(keeper, system.settings, stop))
            await stop.wait()
            await asyncio.gather(*(each.close(timeout_seconds=DRAIN_S) for each in listeners))
    finally:
        if keeper is not None:
            keeper.close()
    _bring_counts(listeners, telemetry)
    _log.info("stopped listening", slot=slot)


def _keeper(settings: Settings, intake: Intake, journal: Slot, telemetry: Telemetry) -> Keeper:
    return Keeper(
        intake,
        journal,
        telemetry,
        grace_seconds=settings.journal.grace_seconds if settings.journal.enabled else None,
        batch=settings.radius.batch,
    )


def _health(keeper: Keeper | None) -> tuple[bool, str]:
    return (True, "") if keeper is None else keeper.health


async def _nothing(requests: Sequence[Request]) -> Sequence[Request]:
    """The authentication port has no requests to handle yet: its engine drops them."""
    return requests


def _replace(engines: dict[PortKind, Engine], directory: NasDirectory) -> None:
    for engine in engines.values():
        engine.replace_clients(directory.table)


async def _count(
    listeners: Sequence[Listener],
    keeper: Keeper | None,
    telemetry: Telemetry,
    stop: asyncio.Event,
) -> None:
    while not stop.is_set():
        _bring_counts(listeners, telemetry)
        if keeper is not None:
            journaling.bring_figures(keeper, telemetry)
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
