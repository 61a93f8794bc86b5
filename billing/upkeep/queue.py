"""PgQueuer's tables and statements, under our names."""

from typing import Final

from pgqueuer import Queries
from pgqueuer.adapters.drivers.asyncpg import AsyncpgDriver
from pgqueuer.adapters.persistence.qb import (
    QueryBuilderEnvironment,
    QueryQueueBuilder,
    QuerySchedulerBuilder,
)
from pgqueuer.domain.settings import DBSettings
from pgqueuer.domain.types import Channel
from pgqueuer.ports.driver import Driver

from billing.database import Connection

# All of them by name: else PgQueuer takes its tables' names from environment variables, and some of
# those are called CHANNEL, FUNCTION or TRIGGER.
SETTINGS: Final = DBSettings(
    prefix="",
    db_schema=None,
    channel=Channel("ch_pgqueuer"),
    function="fn_pgqueuer_changed",
    statistics_table="pgqueuer_statistics",
    queue_status_type="pgqueuer_status",
    queue_table="pgqueuer",
    queue_table_log="pgqueuer_log",
    trigger="tg_pgqueuer_changed",
    schedules_table="pgqueuer_schedules",
)


def queries(driver: Driver) -> Queries:
    """Return PgQueuer's statements, under our names, on a driver."""
    return Queries(
        driver,
        QueryBuilderEnvironment(SETTINGS),
        QueryQueueBuilder(SETTINGS),
        QuerySchedulerBuilder(SETTINGS),
    )


def queries_on(conn: Connection) -> Queries:
    """Return them on a connection, within its transaction."""
    return queries(AsyncpgDriver(conn))  # pyright: ignore[reportArgumentType]  -- a pool's proxy is as good
