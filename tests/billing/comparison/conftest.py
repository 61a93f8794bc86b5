"""The small world's fixtures, and its plans in Postgres."""

import pytest

from billing.database import Connection
from tests.billing.settlement.fixtures import books, desk, settler, worker
from tests.billing.settlement.world import keep_plan, metered

__all__ = ["books", "desk", "settler", "worker"]


@pytest.fixture(autouse=True)
async def plans(conn: Connection) -> None:
    """The plans that the workers charge under."""
    for plan in (metered("EUR"), metered("USD")):
        await keep_plan(conn, plan)
