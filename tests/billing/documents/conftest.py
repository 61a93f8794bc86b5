"""A finalized world of documents, and where their files are kept."""

from pathlib import Path

import pytest

from billing.database import Connection
from billing.documents.storage import FileStorage
from tests.billing.invoices.making import open_account, open_business


@pytest.fixture
async def business(conn: Connection) -> None:
    """The entity `main` and the account anna."""
    await open_business(conn)
    await open_account(conn)


@pytest.fixture
def storage(tmp_path: Path) -> FileStorage:
    """An empty storage."""
    return FileStorage(tmp_path / "documents")
