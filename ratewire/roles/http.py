"""The HTTP role."""

import asyncio

import structlog
from aiohttp import web

from ratewire.access.credentials import Credentials
from ratewire.access.office import desk_of
from ratewire.archive import Archive
from ratewire.http.app import application
from ratewire.http.freeradius import FreeRadius
from ratewire.pipeline.intake import Intake
from ratewire.pipeline.raters import Raters
from ratewire.roles.follow import NasFollower, Pulse
from ratewire.telemetry import Telemetry
from ratewire.wiring import System, now_ms

_log = structlog.get_logger(__name__)

DRAIN_S = 5.0


async def run(system: System, stop: asyncio.Event, slot: int) -> None:
    """Serve HTTP until `stop` is set, then answer what is open and return."""
    settings = system.settings.http
    app = application(system)
    telemetry = Telemetry("http")
    follower = NasFollower(system, lambda _: None)
    credentials = Credentials(system.keyring, threads=system.settings.logins.argon2_threads)
    raters = Raters(system.store, system.terms, clock_ms=now_ms, wraps_32=follower.wraps_32)
    intake = Intake(system.store, raters, Archive(system), telemetry, clock_ms=now_ms)
    desk = desk_of(system, credentials, telemetry)
    FreeRadius(system, desk, intake, follower).add_routes(app)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=DRAIN_S)
    await runner.setup()
    try:
        await web.TCPSite(runner, settings.bind, settings.port, reuse_port=True).start()
        _log.info("serving HTTP", bind=settings.bind, port=settings.port)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(follower.run(stop))
            tasks.create_task(Pulse(system, f"http-{slot}", lambda: (True, "")).run(stop))
    finally:
        credentials.close()
        await runner.cleanup()
