"""A store with books, and accounts in them."""

from collections.abc import Iterator

import pytest

from tests.billing.settlement.fixtures import books, desk, settler, worker
from tests.support.servers import DatabaseServer, fresh_database

__all__ = ["books", "desk", "settler", "worker"]


@pytest.fixture
def other_url(database_server: DatabaseServer, database_template: str) -> Iterator[str]:
    """The URL of a second database, migrated and empty."""
    with fresh_database(database_server, database_template) as url:
        yield url
