"""A seller with its tax rates, and the small world whose usage is invoiced."""

import pytest

from billing.database import Connection
from tests.billing.invoices.making import open_business
from tests.billing.settlement.fixtures import books, desk, settler, worker
from tests.billing.settlement.world import keep_plan, metered

__all__ = ["books", "desk", "settler", "worker"]


@pytest.fixture(autouse=True)
async def business(conn: Connection) -> None:
    """The entity `main`, in Germany, and its plans."""
    await open_business(conn)
    for plan in (metered("EUR"), metered("USD")):
        await keep_plan(conn, plan)
