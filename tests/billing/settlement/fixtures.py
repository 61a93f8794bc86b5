"""Fixtures of the small world; import them by name in a conftest.py."""

from collections.abc import AsyncIterator
from datetime import datetime

import pytest

from billing.database import Pool
from billing.settlement.consumer import Settler
from tests.billing.settlement.worker import Worker
from tests.billing.settlement.world import Books, Desk, metered


@pytest.fixture
async def books(store_url: str) -> AsyncIterator[Books]:
    """An empty store, all its ports."""
    opened = Books(store_url)
    await opened.clear()
    yield opened
    await opened.connection.close()


@pytest.fixture
async def settler(pool: Pool, books: Books) -> Settler:
    """A settler of the store's books, which are begun."""
    made = Settler(pool, books.streams, books.streams)
    assert await made.settle_once(1) == 0
    return made


@pytest.fixture
def desk(pool: Pool, books: Books, settler: Settler, now: datetime) -> Desk:
    """Where accounts are opened and topped up."""
    return Desk(pool, books, now)


@pytest.fixture
def worker(books: Books) -> Worker:
    """A worker that knows the metered plans."""
    return Worker(books, [metered("EUR"), metered("USD")])
