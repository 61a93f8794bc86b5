"""A real store and a real, migrated database for what works on them."""

import socket
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from balances.connection import Connection
from config.settings import DataSettings, HttpSettings, RadiusSettings, Settings
from migrations import runner
from ratewire.wiring import System, Urls
from tests.balances.world import memory_world, store_world
from tests.ratewire.office import Office
from tests.ratewire.provider import Provider, begun
from tests.support.ports import free_port
from tests.support.servers import (
    Migrate,
    database_server,
    database_template,
    database_url,
    store_url,
)

__all__ = ["database_server", "database_template", "database_url", "store_url"]


@pytest.fixture(scope="session")
def migrate() -> Migrate:
    """The hook that makes the template database."""

    async def run(url: str) -> None:
        await runner.migrate(url)

    return run


@asynccontextmanager
async def emptied(store_url: str) -> AsyncGenerator[Connection]:
    """A connection to the store, emptied."""
    opened = Connection(store_url)
    try:
        await opened.command("FLUSHALL")
        await opened.load()
        yield opened
    finally:
        await opened.close()


@pytest.fixture
async def connection(store_url: str) -> AsyncIterator[Connection]:
    """A connection to the store, emptied."""
    async with emptied(store_url) as opened:
        yield opened


@pytest.fixture
async def provider(connection: Connection) -> Provider:
    """A provider on Valkey."""
    return await begun(store_world(connection))


@pytest.fixture(params=["memory", "valkey"])
async def any_provider(request: pytest.FixtureRequest, store_url: str) -> AsyncIterator[Provider]:
    """A provider on each kind of store."""
    if request.param == "memory":
        yield await begun(memory_world())
        return
    async with emptied(store_url) as connection:
        yield await begun(store_world(connection))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings with a data directory of the test's own, and free ports."""
    return Settings(
        radius=RadiusSettings(
            bind=("127.0.0.1",),
            auth_port=free_port(socket.SOCK_DGRAM),
            acct_port=free_port(socket.SOCK_DGRAM),
        ),
        http=HttpSettings(port=free_port(socket.SOCK_STREAM)),
        data=DataSettings(dir=str(tmp_path)),
    )


@pytest.fixture
async def system(
    settings: Settings, connection: Connection, store_url: str, database_url: str
) -> AsyncIterator[System]:
    """A system on the real servers, the store emptied."""
    wired = System(settings, Urls(store_url, database_url))
    try:
        yield wired
    finally:
        await wired.close()


@pytest.fixture
async def office(system: System) -> Office:
    """The staff of the system, whose books have begun."""
    office = Office(system)
    await office.begin()
    return office
