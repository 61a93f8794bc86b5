"""Stores for the tests: the one in memory, Valkey from the wheel, Debian's redis-server."""

from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

import pytest

from balances.connection import Connection
from tests.balances.server import Server, redis_program, serving, valkey_program
from tests.balances.world import GENERATION, World, memory_world, store_world


class Servers:
    """A server of each kind, started when it is first asked for."""

    def __init__(self, stack: ExitStack, directory: Path) -> None:
        self._stack = stack
        self._directory = directory
        self._running: dict[str, Server] = {}

    def __getitem__(self, kind: str) -> Server:
        if kind not in self._running:
            program = redis_program() if kind == "redis" else valkey_program()
            directory = self._directory / kind
            directory.mkdir()
            self._running[kind] = self._stack.enter_context(serving(program, directory))
        return self._running[kind]


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """The servers of this session. Their data are every test's."""
    with ExitStack() as stack:
        yield Servers(stack, tmp_path_factory.mktemp("stores"))


@asynccontextmanager
async def emptied(server: Server) -> AsyncGenerator[World]:
    """The world of an emptied server, without books."""
    connection = Connection(server.url)
    try:
        await connection.command("FLUSHALL")
        await connection.load()
        yield store_world(connection)
    finally:
        await connection.close()


@pytest.fixture(params=["memory", "valkey", "redis"])
async def empty_world(request: pytest.FixtureRequest, servers: Servers) -> AsyncIterator[World]:
    """Every kind of store, without books."""
    if request.param == "memory":
        yield memory_world()
        return
    async with emptied(servers[request.param]) as world:
        yield world


@pytest.fixture
async def world(empty_world: World) -> World:
    """Every kind of store, with new books."""
    await empty_world.keeping.initialise(GENERATION)
    return empty_world


@pytest.fixture(params=["valkey", "redis"])
async def server_world(request: pytest.FixtureRequest, servers: Servers) -> AsyncIterator[World]:
    """Every kind of server, with new books."""
    async with emptied(servers[request.param]) as world:
        await world.keeping.initialise(GENERATION)
        yield world
