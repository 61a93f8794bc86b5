"""The listener role: RADIUS in, money reserved and charged, RADIUS out."""

import asyncio
from collections.abc import Sequence
from typing import Any

import structlog

from config.settings import RadiusSettings, Settings
from radius.access_engine import AccessEngine, AccessRequest
from radius.engine import Engine, Request
from radius.listener import Handler, Listener
from ratewire.access.credentials import Credentials
from ratewire.access.office import desk_of
from ratewire.access.refills import Refills
from ratewire.archive import Archive
from ratewire.journal.clients import KeptClients
from ratewire.journal.keeper import Keeper
from ratewire.journal.slots import Slot
from ratewire.nas import NasDirectory
from ratewire.pipeline.intake import Intake
from ratewire.pipeline.raters import PlanReader, Raters
from ratewire.roles import journaling
from ratewire.roles.follow import NasFollower, Pulse, pause
from ratewire.telemetry import Telemetry
from ratewire.wiring import System, now_ms

_log = structlog.get_logger(__name__)

#: How often the counts of the sockets are brought to the metrics.
COUNT_S = 1.0

#: Logins that are being answered at the same time, most of them refusals that wait.
LOGINS = 4096

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
    lifetime_ms = settings.reply_cache_seconds * 1000
    accounting = Engine(follower.directory.table, reply_lifetime_ms=lifetime_ms)
    authentication = AccessEngine(follower.directory.table, reply_lifetime_ms=lifetime_ms)
    engines = (accounting, authentication)
    credentials = Credentials(system.keyring, threads=system.settings.logins.argon2_threads)
    desk = desk_of(system, credentials, telemetry)
    book = Refills(
        intake.handle if keeper is None else keeper.handle,
        system.store,
        system.housekeeping,
        PlanReader(system.store),
        follower.profile,
    ).handle
    listeners: list[Listener[Any]] = [
        *_for_accounting(settings, accounting, book, telemetry),
        *_for_logins(
            settings, authentication, lambda requests: desk.handle(requests, follower.profile)
        ),
    ]
    await follower.begin(stop)
    if keeper is not None:
        await journaling.inherit(keeper, system.settings)
    for listener in listeners:
        listener.start()
    _log.info(
        "listening",
        bind=settings.bind,
        acct_port=settings.acct_port,
        auth_port=settings.auth_port,
        slot=slot,
    )
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
        credentials.close()
        if keeper is not None:
            keeper.close()
    _bring_counts(listeners, telemetry)
    _log.info("stopped listening", slot=slot)


def _for_accounting(
    settings: RadiusSettings, engine: Engine, handler: Handler[Request], telemetry: Telemetry
) -> list[Listener[Request]]:
    return [
        Listener(
            engine,
            handler,
            bind=bind,
            port=settings.acct_port,
            recv_buffer_octets=settings.recv_buffer_octets,
            batch=settings.batch,
            in_flight=settings.in_flight,
            now_ms=now_ms,
            on_stage=telemetry.stage,
        )
        for bind in settings.bind
    ]


def _for_logins(
    settings: RadiusSettings, engine: AccessEngine, handler: Handler[AccessRequest]
) -> list[Listener[AccessRequest]]:
    """One by one: a password that takes long to check keeps no other waiting."""
    return [
        Listener(
            engine,
            handler,
            bind=bind,
            port=settings.auth_port,
            recv_buffer_octets=settings.recv_buffer_octets,
            batch=1,
            in_flight=LOGINS,
            now_ms=now_ms,
        )
        for bind in settings.bind
    ]


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


def _replace(engines: Sequence[Engine | AccessEngine], directory: NasDirectory) -> None:
    for engine in engines:
        engine.replace_clients(directory.table)


async def _count(
    listeners: Sequence[Listener[Any]],
    keeper: Keeper | None,
    telemetry: Telemetry,
    stop: asyncio.Event,
) -> None:
    while not stop.is_set():
        _bring_counts(listeners, telemetry)
        if keeper is not None:
            journaling.bring_figures(keeper, telemetry)
        await pause(stop, COUNT_S)


def _bring_counts(listeners: Sequence[Listener[Any]], telemetry: Telemetry) -> None:
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
