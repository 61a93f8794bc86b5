"""What has to be in place before the processes start: the schema, the functions, the books."""

import structlog

from balances.errors import StoreError
from billing.database import DatabaseUnavailable, schema_version
from billing.settlement import position
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
        raise NotPrepared(f"the store at {system.urls.store}: {error}") from error
    try:
        await _prepare_database(system, migrate=migrate)
    except (DatabaseUnavailable, runner.MigrationError) as error:
        await _without_database(system, error)


async def _prepare_database(system: System, *, migrate: bool) -> None:
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
        await position.begin(conn, system.stream, PARTITION)
    relay = await system.relay()
    await relay.publish()
    await relay.drain()


async def _without_database(system: System, error: Exception) -> None:
    """Go on if the store has books already."""
    try:
        await system.stream.books()
    except StoreError as missing:
        raise NotPrepared(f"neither database nor books: {error}; {missing}") from error
    _log.error("starting without the database: settlement waits for it", error=str(error))
