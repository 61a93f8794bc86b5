"""A migrated database for each test, and a Valkey, both real."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import asyncpg
import pytest

from billing.database import Connection, Pool, connect
from migrations import runner
from tests.support.servers import (
    Migrate,
    database_server,
    database_template,
    database_url,
    store_url,
)

__all__ = ["database_server", "database_template", "database_url", "store_url"]

NOW = datetime(2026, 3, 14, 15, 9, 26, tzinfo=UTC)


@pytest.fixture
def now() -> datetime:
    """The moment at which tests post: fixed, with partitions for its month and the next three."""
    return NOW


@pytest.fixture(scope="session")
def migrate() -> Migrate:
    """The hook that makes the template database: all migrations, and partitions around NOW."""

    async def run(url: str) -> None:
        await runner.migrate(url)
        connection = await asyncpg.connect(url)
        await connection.execute("SELECT ensure_partitions($1, 3)", NOW)
        await connection.close()

    return run


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    """A pool of connections to the test's own database."""
    async with await connect(database_url, size=8) as opened:
        yield opened


@pytest.fixture
async def conn(pool: Pool) -> AsyncIterator[Connection]:
    """One connection to the test's own database."""
    async with pool.acquire() as connection:
        yield connection
