"""The same world over a real Valkey: every call is done whole, in one moment of virtual time."""

import asyncio
import tempfile
from collections.abc import Callable, Coroutine, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from balances.connection import Connection
from tests.balances.server import serving, valkey_program
from tests.balances.world import World as Ports
from tests.balances.world import store_world
from tests.simulation.road import Run

Result = TypeVar("Result")


@contextmanager
def on_valkey(url: str) -> Generator[tuple[Callable[[], Ports], Run]]:
    """Give the ports of emptied books on a server, anew for each history, and what runs its calls.

    The server's data are lost.
    """
    with asyncio.Runner() as runner:
        connection = Connection(url)

        def run(coroutine: Coroutine[Any, Any, Result], /) -> Result:
            return runner.run(coroutine)

        async def empty() -> None:
            await connection.command("FLUSHALL")
            await connection.load()

        def emptied() -> Ports:
            run(empty())
            return store_world(connection)

        try:
            yield emptied, run
        finally:
            run(connection.close())


@contextmanager
def own_valkey() -> Generator[tuple[Callable[[], Ports], Run]]:
    """As `on_valkey`, on a server that is started for it."""
    with (
        tempfile.TemporaryDirectory(prefix="ratewire-simulation-") as directory,
        serving(valkey_program(), Path(directory)) as server,
        on_valkey(server.url) as world,
    ):
        yield world
