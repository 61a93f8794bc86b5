"""backup, restore: everything at one moment, in a directory."""

import sys
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from balances.health import SILENCE_MS
from balances.messages import Position
from billing.backup import manifest as manifests
from billing.backup.manifest import Manifest
from billing.backup.restoring import Restored, Target, restore
from billing.backup.taking import back_up
from billing.reconcile.run import Reconciliation, reconcile
from billing.sealing.keyring import Keyring
from config.settings import Settings
from ratewire.cli.money import print_reconciliation
from ratewire.cli.running import (
    ConfigOption,
    JsonOption,
    Refused,
    moment,
    print_json,
    run,
    settings_of,
    warn,
)
from ratewire.journal.slots import standing
from ratewire.wiring import PARTITION, System, now_ms


class BackedUp(msgspec.Struct, frozen=True):
    """What a backup holds, and what has to be kept apart from it."""

    directory: str
    backup: str
    began_at: datetime
    settled_at: datetime
    position: Position
    schema: str
    tables: int
    rows: int
    octets: int
    key_file: str


class RestoredView(msgspec.Struct, frozen=True):
    """What was restored, and the verdict on it.

    `missing_keys` are the ids of keys that secrets in it are sealed with and the key file has not.
    """

    backup: str
    began_at: datetime
    settled_at: datetime
    position: Position
    rows: int
    generation: int
    accounts: int
    subscribers: int
    sessions: int
    settled_entries: int
    parked_items: int
    lost: str | None
    missing_keys: list[str]
    exact: bool
    drift_micros: int


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(backup)
    app.command("restore")(restore_backup)


def backup(
    directory: Annotated[Path, typer.Argument(help="A new directory.")],
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Copy everything to a new directory, to one consistent point.

    Under traffic, too. The key file is not copied: keep it apart.
    """

    async def work(system: System) -> Manifest:
        return await back_up(
            await system.pool(),
            system.stream,
            system.stream,
            directory,
            ratewire=version("ratewire"),
            partition=PARTITION,
        )

    settings = settings_of(config)
    made = run(config, work)
    waiting = standing(settings.journal_path())
    if waiting is not None:
        warn(
            f"the local journal is not in it, though NASes were answered from it: {waiting};"
            " make another backup once it is replayed"
        )
    done = BackedUp(
        directory=str(directory),
        backup=made.backup,
        began_at=made.began_at,
        settled_at=made.settled_at,
        position=made.position,
        schema=made.schema,
        tables=len(made.tables),
        rows=sum(table.rows for table in made.tables),
        octets=sum(table.octets for table in made.tables),
        key_file=str(settings.secret_key_path()),
    )
    if as_json:
        print_json(done)
        return
    print(
        f"{done.directory} holds all that was acknowledged before {moment(done.began_at)} UTC:"
        f" {done.rows} rows of {done.tables} tables, {done.octets} octets"
    )
    print(f"the key file is not in it: keep a copy of {done.key_file} in another place")


def restore_backup(
    directory: Annotated[Path, typer.Argument(help="What `backup` has made.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="Drop what database and store hold.")
    ] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Restore a backup: the database, then the store from it.

    Nothing may serve meanwhile. If it is interrupted, run it again. Exit status 1 if store and
    ledger do not agree afterwards.
    """
    manifest = manifests.read(directory)
    settings = settings_of(config)
    missing = _missing_keys(settings, manifest)
    if missing:
        warn(
            f"{settings.secret_key_path()} lacks the key {', '.join(missing)}: the NAS secrets and"
            " passwords sealed with it cannot be used until it is there"
        )
    _confirm(directory, manifest, yes=yes, replace=replace)

    async def work(system: System) -> tuple[Restored, Reconciliation]:
        await _require_quiet(system)
        return await _restore(system, directory, manifest, replace=replace)

    restored, found = run(config, work, store=False)
    rebuilt = restored.rebuilt
    if as_json:
        print_json(_view(manifest, restored, found, missing))
    else:
        print(
            f"all is as of {moment(manifest.began_at)} UTC, or later where the store had more:"
            f" {rebuilt.accounts} accounts, {rebuilt.subscribers} subscribers,"
            f" {rebuilt.sessions} open sessions, generation {rebuilt.generation}"
        )
        print_reconciliation(found)
    if rebuilt.lost:
        warn(rebuilt.lost)
    if not found.exact:
        raise typer.Exit(1)


def _confirm(directory: Path, manifest: Manifest, *, yes: bool, replace: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise Refused("restore asks before it begins; allowed without a terminal is --yes")
    dropped = " and drop what is there now" if replace else ""
    typer.confirm(
        f"Restore {directory}, of {moment(manifest.began_at)} UTC{dropped}?", abort=True, err=True
    )


def _missing_keys(settings: Settings, manifest: Manifest) -> list[str]:
    """The keys that the backup's secrets need and the key file lacks. Creates no key file."""
    path = settings.secret_key_path()
    held = Keyring.load(path).ids if path.exists() else frozenset[str]()
    return [key for key in manifest.keys if key not in held]


async def _require_quiet(system: System) -> None:
    """Raise Refused while processes serve."""
    at = now_ms()
    beats = await system.heartbeats.all(at)
    serving = [f"{each.name} on {each.host}" for each in beats if each.at_ms >= at - SILENCE_MS]
    if serving:
        raise Refused(
            f"{', '.join(serving)} served within the last {SILENCE_MS // 1000} seconds;"
            " allowed is when nothing serves"
        )


async def _restore(
    system: System, directory: Path, manifest: Manifest, *, replace: bool
) -> tuple[Restored, Reconciliation]:
    pool = await system.pool()
    terms = system.terms
    restored = await restore(
        Target(pool, system.stream, system.stream, system.restoration, PARTITION),
        directory,
        manifest,
        replace=replace,
        interval_seconds=terms.interim,
        quiet_seconds=terms.interim * terms.stale_factor,
    )
    relay = await system.relay()
    await relay.publish()
    await relay.drain()
    return restored, await reconcile(pool, system.stream, system.stream, partition=PARTITION)


def _view(
    manifest: Manifest, restored: Restored, found: Reconciliation, missing: list[str]
) -> RestoredView:
    rebuilt = restored.rebuilt
    return RestoredView(
        backup=manifest.backup,
        began_at=manifest.began_at,
        settled_at=manifest.settled_at,
        position=manifest.position,
        rows=restored.rows,
        generation=rebuilt.generation,
        accounts=rebuilt.accounts,
        subscribers=rebuilt.subscribers,
        sessions=rebuilt.sessions,
        settled_entries=rebuilt.settled_entries,
        parked_items=rebuilt.parked_items,
        lost=rebuilt.lost,
        missing_keys=missing,
        exact=found.exact,
        drift_micros=found.drift_micros,
    )
