"""migrate, check, nas, token: what the operator of the system does."""

import asyncio
import socket
from pathlib import Path
from typing import Annotated

import typer

from balances.errors import StoreError
from billing.database import connect, schema_version, unavailable
from billing.nas import register as nas_register
from billing.nas.client import NasEntry
from billing.tokens import register as tokens
from billing.tokens.register import Role
from config.load import SettingsError
from config.settings import Settings
from migrations import runner
from radius.profiles import builtin_profiles
from ratewire.cli.faults import Refused
from ratewire.cli.running import (
    ConfigOption,
    JsonOption,
    print_json,
    print_table,
    run,
    secret_value,
    settings_of,
)
from ratewire.embedded.servers import describe
from ratewire.wiring import System, Urls, now, servers


def register(app: typer.Typer) -> None:
    """Add the commands."""
    nas = typer.Typer(help="The NASes that may speak.", no_args_is_help=True)
    nas.command("add")(nas_add)
    nas.command("list")(nas_list)
    nas.command("remove")(nas_remove)
    token = typer.Typer(help="Tokens for the HTTP API.", no_args_is_help=True)
    token.command("create")(token_create)
    app.command()(migrate)
    app.command()(check)
    app.add_typer(nas, name="nas")
    app.add_typer(token, name="token")


def migrate(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Bring the database's schema up to date."""
    settings = settings_of(config)

    async def work() -> list[str]:
        async with servers(settings) as (urls, _):
            return await runner.migrate(urls.database)

    applied = asyncio.run(work())
    if as_json:
        print_json({"applied": applied, "version": runner.HEAD})
    else:
        print(f"applied {', '.join(applied)}" if applied else "nothing to apply")
        print(f"the schema is at {runner.HEAD}")


def check(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Say of settings, store, database and ports whether they are as they must be."""
    try:
        settings = settings_of(config)
    except SettingsError as error:
        verdicts = {"settings": f"FAULTY\n{error}"}
    else:
        verdicts = {"settings": "ok", **asyncio.run(_check(settings))}
    if as_json:
        print_json(verdicts)
    else:
        for what, verdict in verdicts.items():
            print(f"{what:9} {verdict}")
    if any(not verdict.startswith("ok") for verdict in verdicts.values()):
        raise typer.Exit(1)


async def _check(settings: Settings) -> dict[str, str]:
    verdicts = {"store": "", "database": "", "ports": _ports(settings)}
    async with servers(settings) as (urls, _):
        verdicts["store"] = await _check_store(System(settings, urls))
        verdicts["database"] = await _check_database(urls)
    if settings.store.url is None or settings.database.url is None:
        for server in describe(Path(settings.data.dir)):
            key = "store" if server.name.startswith("valkey") else "database"
            verdicts[key] += f" (embedded in {server.data_directory})"
    return verdicts


async def _check_store(system: System) -> str:
    try:
        await system.connection.command("PING")
        info = await system.connection.command("INFO", "server")
        await system.connection.load()
    except StoreError as error:
        return f"FAULTY {error}"
    finally:
        await system.close()
    lines = dict(line.split(":", 1) for line in info.decode().splitlines() if ":" in line)
    name = "valkey" if "valkey_version" in lines else "redis"
    return f"ok {name} {lines.get('valkey_version') or lines['redis_version']}"


async def _check_database(urls: Urls) -> str:
    try:
        pool = await connect(urls.database, size=1)
    except Exception as error:
        if unavailable(error):
            return f"FAULTY {error}"
        raise
    try:
        async with pool.acquire() as conn:
            version = await schema_version(conn)
            server = await conn.fetchval("SHOW server_version")
    finally:
        await pool.close()
    if version == runner.HEAD:
        return f"ok postgresql {server}, schema {version}"
    if version is None:
        return f"ok postgresql {server}, not migrated yet: run 'ratewire migrate'"
    return f"FAULTY schema is at {version}, needed is {runner.HEAD}: run 'ratewire migrate'"


def _ports(settings: Settings) -> str:
    """Whether the ports could be bound, as `serve` binds them (so that it may run already)."""
    wanted = [
        (kind, bind, port, name)
        for bind in settings.radius.bind
        for kind, port, name in (
            (socket.SOCK_DGRAM, settings.radius.auth_port, "radius.auth_port"),
            (socket.SOCK_DGRAM, settings.radius.acct_port, "radius.acct_port"),
        )
    ]
    wanted.append((socket.SOCK_STREAM, settings.http.bind, settings.http.port, "http.port"))
    faults: list[str] = []
    for kind, bind, port, name in wanted:
        family = socket.AF_INET6 if ":" in bind else socket.AF_INET
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            try:
                probe.bind((bind, port))
            except OSError as error:
                faults.append(f"{name} {bind} port {port}: {error.strerror}")
    ports = ", ".join(str(port) for _, _, port, _ in wanted)
    return f"FAULTY {'; '.join(faults)}" if faults else f"ok {ports}"


def nas_add(
    name: Annotated[str, typer.Argument(help="A name for it, unique.")],
    source: Annotated[str, typer.Option(help="Where it sends from: an address, or a CIDR.")],
    secret: Annotated[str, typer.Option(help="The shared secret: @FILE, - (standard input).")],
    vendor: Annotated[str, typer.Option(help="Its profile.")] = "generic",
    coa_port: Annotated[int | None, typer.Option(help="Where it takes Disconnects.")] = None,
    coa_host: Annotated[str | None, typer.Option(help="If not where it sends from.")] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let a NAS speak. Running listeners heed it at once."""
    known = builtin_profiles()
    if vendor not in known:
        raise Refused(f"vendor {vendor!r} is not known; allowed are {', '.join(known)}")
    shared = secret_value(secret, "--secret")

    async def work(system: System) -> NasEntry:
        pool = await system.pool()
        async with pool.acquire() as conn:
            entry = await nas_register.add(
                conn,
                system.keyring,
                name,
                source=source,
                secret=shared,
                vendor=vendor,
                coa_host=coa_host,
                coa_port=coa_port,
                now=now(),
            )
        await (await system.relay()).publish()
        return entry

    entry = run(config, work)
    if as_json:
        print_json(entry)
    else:
        print(f"NAS {entry.name} may speak from {entry.source}, vendor {entry.vendor}")


def nas_list(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """List the NASes."""

    async def work(system: System) -> list[NasEntry]:
        async with (await system.pool()).acquire() as conn:
            return await nas_register.list_(conn)

    entries = run(config, work)
    if as_json:
        print_json(entries)
    else:
        print_table(
            "NASes",
            ("name", "source", "vendor", "CoA host", "CoA port"),
            [(e.name, e.source, e.vendor, e.coa_host, e.coa_port) for e in entries],
        )


def nas_remove(name: str, config: ConfigOption = None) -> None:
    """Listen to a NAS no more."""

    async def work(system: System) -> None:
        async with (await system.pool()).acquire() as conn:
            await nas_register.remove(conn, name)
        await (await system.relay()).publish()

    run(config, work)
    print(f"NAS {name} is removed")


def token_create(
    role: Annotated[Role, typer.Option(help="What its holder may do.")],
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a token for the HTTP API. It is shown once; only its hash is kept."""

    async def work(system: System) -> str:
        async with (await system.pool()).acquire() as conn:
            return await tokens.create(conn, role, now())

    token = run(config, work)
    if as_json:
        print_json({"token": token, "role": role})
    else:
        print(token)
