"""Bringing a database's schema up to date: Alembic, over asyncpg, from plain SQL files."""

import asyncio
from pathlib import Path
from typing import Final

import asyncpg

DIRECTORY: Final = Path(__file__).parent

#: The newest revision, which this version of the code is written for.
HEAD: Final = "0028"

#: The revision from which on there are partitions to be made.
_PARTITIONS = "0002"

#: The revision from which on the application works in a role of its own.
_APPLICATION_ROLE = "0018"

#: How many months of partitions a migrated database has ahead.
MONTHS_AHEAD = 3

#: Any number that no other advisory lock of this database has; one process migrates at a time.
_LOCK = 0x72_61_74_65_77_69_72_65
_LOCK_WAIT_SECONDS = 600
_CONNECT_SECONDS = 15


class MigrationError(Exception):
    """The database was not migrated (further); the message says why."""


async def migrate(url: str, *, to: str = HEAD, directory: Path = DIRECTORY) -> list[str]:
    """Bring the database at `url` up to a revision; return the revisions applied, oldest first.

    Each revision is one transaction: after a failure those before it stay applied. A process that
    finds another one migrating waits for it. `directory` holds env.py and the versions. Raises
    MigrationError, and what Postgres says when a revision's SQL fails.
    """
    driver = await _connect(url)
    try:
        await _lock(driver)
        before = await _revision(driver)
        applied = [] if before == to else await _upgrade(url, directory, before, to)
        if to >= _PARTITIONS:
            # Otherwise the database could take no posting before the upkeep has run once.
            await driver.execute("SELECT ensure_partitions(now(), $1)", MONTHS_AHEAD)
        if applied and to >= _APPLICATION_ROLE:
            await driver.execute("SELECT allow_application()")
    finally:
        # Ends the lock, too.
        await driver.close(timeout=_CONNECT_SECONDS)
    return applied


async def current(url: str) -> str | None:
    """Return the revision of the database at `url`; None if it was never migrated.

    Raises MigrationError when the database cannot be reached.
    """
    driver = await _connect(url)
    try:
        return await _revision(driver)
    finally:
        await driver.close(timeout=_CONNECT_SECONDS)


def revisions(directory: Path = DIRECTORY) -> list[str]:
    """Return all revisions there are, oldest first."""
    from migrations.upgrading import known_revisions

    return known_revisions(directory)


async def _connect(url: str) -> "asyncpg.Connection[asyncpg.Record]":
    try:
        return await asyncpg.connect(
            url,
            timeout=_CONNECT_SECONDS,
            server_settings={"application_name": "ratewire migrate", "timezone": "UTC"},
        )
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise MigrationError(f"no connection to the database: {error}") from error


async def _lock(driver: "asyncpg.Connection[asyncpg.Record]") -> None:
    try:
        async with asyncio.timeout(_LOCK_WAIT_SECONDS):
            await driver.execute("SELECT pg_advisory_lock($1)", _LOCK)
    except TimeoutError as error:
        raise MigrationError(
            f"another process has been migrating this database for {_LOCK_WAIT_SECONDS} seconds"
        ) from error


async def _revision(driver: "asyncpg.Connection[asyncpg.Record]") -> str | None:
    if await driver.fetchval("SELECT to_regclass('alembic_version')") is None:
        return None
    return await driver.fetchval("SELECT version_num FROM alembic_version")


async def _upgrade(url: str, directory: Path, before: str | None, to: str) -> list[str]:
    from migrations.upgrading import upgrade

    known = revisions(directory)
    if before is not None and before not in known:
        raise MigrationError(
            f"the database is at revision {before}, which this version does not know:"
            f" it knows {known[0]} to {known[-1]}. A newer version has migrated it"
        )
    await upgrade(lambda: _connect(url), directory, to)
    start = 0 if before is None else known.index(before) + 1
    return known[start : known.index(to) + 1]
