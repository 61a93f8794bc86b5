"""A store for the relay's tests, with books that have just begun."""

from collections.abc import AsyncIterator

import pytest

from balances.connection import Connection
from balances.housekeeping import StreamAndBooks
from tests.billing.outbox.watched import WatchedStore


@pytest.fixture
async def connection(store_url: str) -> AsyncIterator[Connection]:
    """A connection to an emptied store with begun books."""
    opened = Connection(store_url)
    try:
        await opened.command("FLUSHALL")
        await opened.load()
        await StreamAndBooks(opened).initialise(1)
        yield opened
    finally:
        await opened.close()


@pytest.fixture
def books(connection: Connection) -> StreamAndBooks:
    """Where the tests look up what the store holds."""
    return StreamAndBooks(connection)


@pytest.fixture
def store(connection: Connection) -> WatchedStore:
    """The store as the relay uses it."""
    return WatchedStore(connection)
