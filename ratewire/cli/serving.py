"""serve: the system at work."""

import asyncio
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Annotated, Any

import structlog
import typer
import uvloop

from config.settings import Settings
from ratewire import logs
from ratewire.cli.running import ConfigOption, Refused, settings_of
from ratewire.ports import Port, in_use, ports_of, shared_with_ours
from ratewire.preparation import prepare
from ratewire.roles import leaf
from ratewire.roles.leaf import Role
from ratewire.supervisor import Supervisor, stop_on_signals
from ratewire.wiring import System, Urls, now_ms, servers

_log = structlog.get_logger(__name__)


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
    """Serve until Ctrl-C, then drain.

    RADIUS in, money reserved, charged and settled, sessions cut: each role in a process of its own.
    """
    settings = settings_of(config)
    roles = list(dict.fromkeys(role or Role))
    if workers is not None and Role.LISTENER not in roles:
        raise Refused("--workers is a number of listeners; allowed is with the role listener")
    if slot is not None:
        if len(roles) != 1 or settings.store.url is None or settings.database.url is None:
            raise Refused("--slot is for one role on servers that are configured")
        logs.configure(settings.log.level, settings.log.format, role=f"{roles[0].value}-{slot}")
        urls = Urls(settings.store.url, settings.database.url)
        _do_role(leaf.run(settings, urls, roles[0], slot, parent), ports_of(settings, roles))
        return
    logs.configure(settings.log.level, settings.log.format, role="supervisor")
    asyncio.run(_supervise(settings, config, roles, workers))


def _do_role(role: Coroutine[Any, Any, None], ports: Sequence[Port]) -> None:
    """Run a role to its end. Raises PortError if it cannot have its ports."""
    leaf.collect_garbage_seldom()
    try:
        uvloop.run(role)
    except OSError:
        # The kernel does not say which port it was, nor the setting.
        in_use(ports)
        raise


async def _supervise(
    settings: Settings, config: Path | None, roles: list[Role], workers: int | None
) -> None:
    # Other processes of this user may have them as well; those of anybody else are in the way.
    ports = ports_of(settings, roles)
    in_use(ports)
    stop = stop_on_signals()
    async with servers(settings) as (urls, embedded):
        system = System(settings, urls, actor="ratewire serve")
        try:
            _ = system.gateways  # so that keys which are not allowed are told now
            await prepare(system, migrate=settings.database.url is None)
            shared = await shared_with_ours(ports, lambda: system.heartbeats.all(now_ms()))
            if shared:
                told = [str(port) for port in shared]
                _log.warning("another serve on the same data has these ports as well", ports=told)
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
