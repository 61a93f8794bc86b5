"""check: are settings, ports, store and database as they must be?"""

import asyncio
import sys
from collections.abc import Sequence

import msgspec
import typer

from balances.errors import StoreEmpty, StoreError
from balances.health import Beat
from billing.database import (
    APPLICATION_ROLE,
    DatabaseUnavailable,
    may_change_the_ledger,
    schema_version,
)
from billing.settlement import position
from config.load import SettingsError
from config.settings import Settings, redact_url
from migrations import runner
from ratewire import logs
from ratewire.cli.running import ConfigOption, JsonOption, print_json, settings_of
from ratewire.embedded.errors import EmbeddedServersError
from ratewire.ports import PortError, in_use, ports_of, refusal, strange
from ratewire.roles.leaf import Role
from ratewire.wiring import PARTITION, System, now_ms, servers


class Verdict(msgspec.Struct, frozen=True):
    """What was found of one part: whether it will do, and the figures or the fault."""

    ok: bool
    detail: str


class Verdicts(msgspec.Struct, frozen=True):
    """What was found of all parts."""

    settings: Verdict
    ports: Verdict
    store: Verdict
    database: Verdict

    @property
    def ok(self) -> bool:
        """Whether `serve` can do its work."""
        return all((self.settings.ok, self.ports.ok, self.store.ok, self.database.ok))


_UNCHECKED = Verdict(False, "not checked, the settings are faulty")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(check)


def check(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Check settings, ports, store and database.

    A line each for the settings with the ports they name, the store, and the database. Exit status
    1 if one is faulty. It may be run at any time, also beside `serve`.
    """
    try:
        settings = settings_of(config)
    except SettingsError as error:
        found = Verdicts(Verdict(False, str(error)), _UNCHECKED, _UNCHECKED, _UNCHECKED)
    else:
        logs.configure("warning", settings.log.format or "console", role="command")
        found = asyncio.run(_check(settings))
    if as_json:
        print_json({"ok": found.ok, **msgspec.structs.asdict(found)})
    else:
        _say("settings", found.ports if found.settings.ok else found.settings)
        _say("store", found.store)
        _say("database", found.database)
    if not found.ok:
        raise typer.Exit(1)


def _say(part: str, verdict: Verdict) -> None:
    """Print a verdict in one line; what there is to tell beyond that goes to standard error."""
    first, *more = verdict.detail.splitlines() or [""]
    print(f"{part:9} {'ok' if verdict.ok else 'FAULTY'}: {first}")
    for line in more:
        print(line, file=sys.stderr)


async def _check(settings: Settings) -> Verdicts:
    ports = _check_ports(settings, None)
    try:
        async with servers(settings) as (urls, embedded):
            system = System(settings, urls)
            try:
                store = await _check_store(system)
                if store.ok:
                    ports = _check_ports(settings, await system.heartbeats.all(now_ms()))
                database = await _check_database(system)
                if store.ok and database.ok:
                    store = await _check_books(system, store)
            finally:
                await system.close()
            for server in embedded.status if embedded is not None else ():
                where = f", embedded in {server.data_directory}"
                if server.name == "valkey":
                    store = msgspec.structs.replace(store, detail=store.detail + where)
                else:
                    database = msgspec.structs.replace(database, detail=database.detail + where)
    except EmbeddedServersError as error:
        store = database = Verdict(False, str(error))
    return Verdicts(Verdict(True, "no fault"), ports, store, database)


def _check_ports(settings: Settings, beats: Sequence[Beat] | None) -> Verdict:
    """Whether `serve` could bind its ports, or a `serve` on these data has, by its beats."""
    ports = ports_of(settings, list(Role))
    try:
        shared = in_use(ports)
    except PortError as error:
        return Verdict(False, str(error))
    if beats is not None and (strangers := strange(shared, beats)):
        return Verdict(False, refusal(strangers))
    told = (f"{port} {'served' if port in shared else 'free'}" for port in ports)
    return Verdict(True, f"ports {', '.join(dict.fromkeys(told))}")


async def _check_store(system: System) -> Verdict:
    """Whether the store answers, knows functions, and keeps what it has acknowledged."""
    try:
        info: bytes = await system.connection.command("INFO")
        await system.connection.load()
    except StoreError as error:
        return Verdict(False, f"{redact_url(system.urls.store)}: {error}")
    said = dict(line.split(":", 1) for line in info.decode().splitlines() if ":" in line)
    kind = "valkey" if "valkey_version" in said else "redis"
    faults: list[str] = []
    if said["maxmemory_policy"] != "noeviction":
        faults.append(f"maxmemory-policy is {said['maxmemory_policy']}, allowed is noeviction")
    if said["aof_enabled"] != "1":
        faults.append("appendonly is no, allowed is yes: a restart would lose the balances")
    return Verdict(not faults, "; ".join([f"{kind} {said[f'{kind}_version']}", *faults]))


async def _check_books(system: System, store: Verdict) -> Verdict:
    """The verdict of a store that is well, with what is wrong with the books in it, if anything."""
    fault = None
    try:
        fence = (await system.stream.books()).fence
        if fence is not None:
            fault = f"nothing is booked: {fence}"
    except StoreEmpty:
        async with (await system.pool()).acquire() as conn:
            if await schema_version(conn) and await position.read(conn, PARTITION) is not None:
                fault = "it has lost its books: run 'ratewire rebuild-balances'"
    return store if fault is None else Verdict(False, f"{store.detail}; {fault}")


async def _check_database(system: System) -> Verdict:
    """Whether the database answers, and has this version's schema."""
    try:
        async with (await system.pool()).acquire() as conn:
            version = await schema_version(conn)
            server = f"postgresql {await conn.fetchval('SHOW server_version')}"
            unguarded = version == runner.HEAD and await may_change_the_ledger(conn)
    except DatabaseUnavailable as error:
        return Verdict(False, f"{redact_url(system.urls.database)}: {error}")
    if unguarded:
        return Verdict(
            False,
            f"{server}: its user may change the ledger, and may not work as {APPLICATION_ROLE}:"
            " have an administrator grant it that role",
        )
    if version == runner.HEAD:
        return Verdict(True, f"{server}, schema {version}")
    if version is None and system.settings.database.url is None:
        return Verdict(True, f"{server}, new: its schema is made when it is first used")
    has = "it has no schema" if version is None else f"its schema is {version}"
    return Verdict(False, f"{server}: {has}, needed is {runner.HEAD}: run 'ratewire migrate'")
