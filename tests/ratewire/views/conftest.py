"""Workers on the books that are viewed."""

import pytest

from balances.connection import Connection
from tests.ratewire.office import Office
from tests.ratewire.provider import Provider
from tests.ratewire.today import today


@pytest.fixture
def provider(connection: Connection, office: Office) -> Provider:
    """Workers on the books of the system."""
    return today(connection)
