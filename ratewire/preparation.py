"""What has to be in place before the processes start: the schema, the functions, the books."""

import structlog

from balances.errors import StoreError
from billing.database import DatabaseUnavailable, schema_version
from billing.settlement import position
from config.settings import redact_url
from migrations import runner
from ratewire.wiring import PARTITION, System

_log = structlog.get_logger(__name__)


class NotPrepared(Exception):
    """The system cannot start; the message says what is missing and what to do."""


async def prepare(system: System, *, migrate: bool) -> None:
    """Make store and database ready; with `migrate` bring the schema up to date.

    Postgres may be away: then what is in the store goes on being charged, and settlement waits for
    it. Raises NotPrepared.
    """
    try:
        await system.connection.load()
    except StoreError as error:
        raise NotPrepared(f"the store at {redact_url(system.urls.store)}: {error}") from error
    try:
        await _prepare_database(system, migrate=migrate)
    except (DatabaseUnavailable, runner.MigrationError) as error:
        await _without_database(system, error)


async def prepare_reading(system: System, *, migrate: bool) -> None:
    """Make the database ready to be read, whatever is with the store.

    With `migrate` bring the schema up to date. Raises NotPrepared, DatabaseUnavailable or
    MigrationError.
    """
    if migrate:
        for revision in await runner.migrate(system.urls.database):
            _log.info("migrated", revision=revision)
    pool = await system.pool()
    async with pool.acquire() as conn:
        version = await schema_version(conn)
    if version != runner.HEAD:
        raise NotPrepared(
            f"the database's schema is at {version or 'nothing'}, this version needs"
            f" {runner.HEAD}: run 'ratewire migrate'"
        )


async def _prepare_database(system: System, *, migrate: bool) -> None:
    await prepare_reading(system, migrate=migrate)
    async with (await system.pool()).acquire() as conn:
        await position.begin(conn, system.stream, PARTITION)
    relay = await system.relay()
    try:
        await relay.publish()
        await relay.drain()
    except StoreError as error:
        # What waits goes on waiting, and the relay brings it: what is to be done may be the very
        # thing that helps (a rebuild where the books are lost, settlement where they are full).
        _log.warning("the store takes no movements now", error=str(error))


async def _without_database(system: System, error: Exception) -> None:
    """Go on if the store has books already."""
    try:
        await system.stream.books()
    except StoreError as missing:
        raise NotPrepared(f"neither database nor books: {error}; {missing}") from error
    _log.error("starting without the database: settlement waits for it", error=str(error))
