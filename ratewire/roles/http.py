"""The HTTP role."""

import asyncio

import structlog
from aiohttp import web

from ratewire.http.app import application
from ratewire.roles.follow import Pulse
from ratewire.wiring import System

_log = structlog.get_logger(__name__)

DRAIN_S = 5.0


async def run(system: System, stop: asyncio.Event, slot: int) -> None:
    """Serve HTTP until `stop` is set, then answer what is open and return."""
    settings = system.settings.http
    runner = web.AppRunner(application(system), access_log=None, shutdown_timeout=DRAIN_S)
    await runner.setup()
    try:
        await web.TCPSite(runner, settings.bind, settings.port, reuse_port=True).start()
        _log.info("serving HTTP", bind=settings.bind, port=settings.port)
        await Pulse(system, f"http-{slot}", lambda: (True, "")).run(stop)
    finally:
        await runner.cleanup()
