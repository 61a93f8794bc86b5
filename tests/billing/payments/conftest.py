"""Documents that payments can be put on, in memory, and an account to pay."""

from collections.abc import Sequence
from datetime import datetime

import pytest

from billing.accounts import register as accounts
from billing.database import Connection, Pool
from billing.errors import Conflict, NotFound


class Bills:
    """Open documents of an account, by id: what is left on each. See allocation.Documents."""

    def __init__(self, account: str = "alice") -> None:
        self.account = account
        self.open: dict[int, int] = {}

    async def take(
        self, conn: Connection, document_id: int, account: str, micros: int, now: datetime
    ) -> None:
        if document_id not in self.open:
            raise NotFound(f"invoice {document_id} does not exist")
        if account != self.account or micros > self.open[document_id]:
            raise Conflict(f"invoice {document_id} has {self.open[document_id]} left")
        self.open[document_id] -= micros

    async def give_back(
        self, conn: Connection, document_id: int, micros: int, now: datetime
    ) -> None:
        self.open[document_id] += micros

    async def left(self, conn: Connection, account: str) -> Sequence[tuple[int, int]]:
        return sorted((number, left) for number, left in self.open.items() if left)


@pytest.fixture
def bills() -> Bills:
    """Documents of alice."""
    return Bills()


@pytest.fixture(autouse=True)
async def alice(pool: Pool, now: datetime) -> None:
    """An account without money."""
    async with pool.acquire() as conn:
        await accounts.create(conn, "alice", "EUR", now=now)
