"""serve, demo, simulate, migrate, check."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer
import uvloop

from ratewire import logs
from ratewire.cli.faults import Refused
from ratewire.cli.running import ConfigOption, settings_of
from ratewire.preparation import prepare
from ratewire.roles import leaf
from ratewire.roles.leaf import Role
from ratewire.supervisor import Supervisor, stop_on_signals
from ratewire.wiring import System, Urls, servers


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(serve)


def serve(
    config: ConfigOption = None,
    role: Annotated[
        list[Role] | None, typer.Option(help="Only this role; may be given again. Default: all.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, max=256, help="Listener processes (radius.workers).")
    ] = None,
    slot: Annotated[int | None, typer.Option(hidden=True)] = None,
    parent: Annotated[int | None, typer.Option(hidden=True)] = None,
) -> None:
    """Serve: RADIUS in, money reserved, charged and settled, sessions cut. Ctrl-C drains."""
    settings = settings_of(config)
    roles = role or list(Role)
    if slot is not None:
        if len(roles) != 1 or settings.store.url is None or settings.database.url is None:
            raise Refused("--slot is for one role on servers that are configured")
        logs.configure(settings.log.level, settings.log.format, role=f"{roles[0].value}-{slot}")
        urls = Urls(settings.store.url, settings.database.url)
        uvloop.run(leaf.run(settings, urls, roles[0], slot, parent))
        return
    logs.configure(settings.log.level, settings.log.format, role="supervisor")
    asyncio.run(_supervise(config, roles, workers))


async def _supervise(config: Path | None, roles: list[Role], workers: int | None) -> None:
    settings = settings_of(config)
    stop = stop_on_signals()
    async with servers(settings) as (urls, embedded):
        system = System(settings, urls)
        try:
            await prepare(system, migrate=settings.database.url is None)
        finally:
            await system.close()
        supervisor = Supervisor(
            settings,
            urls,
            embedded,
            config=config,
            roles=roles,
            workers=workers or settings.radius.workers,
        )
        await supervisor.run(stop)
