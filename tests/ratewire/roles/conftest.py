"""A NAS that speaks to the accounting port of the test's settings."""

from collections.abc import Iterator

import pytest

from config.settings import Settings
from tests.ratewire.roles.running import Speaker


@pytest.fixture
def speaker(settings: Settings) -> Iterator[Speaker]:
    """A socket that sends to the accounting port."""
    opened = Speaker(settings.radius.acct_port)
    yield opened
    opened.close()
