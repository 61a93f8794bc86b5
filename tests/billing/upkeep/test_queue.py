"""PgQueuer finds the schema that it expects."""

import asyncpg
from pgqueuer.adapters.drivers.asyncpg import AsyncpgDriver

from billing.upkeep.queue import queries


async def test_the_migrations_leave_nothing_for_the_library_to_upgrade(database_url: str) -> None:
    # Fails after an update of PgQueuer that needs a migration: `pgq sql upgrade` prints it.
    conn = await asyncpg.connect(database_url)
    plan = await queries(AsyncpgDriver(conn)).plan_upgrade()
    await conn.close()
    assert list(plan.statements) == []
