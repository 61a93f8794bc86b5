"""A second system on the same servers, whose ways to them can be closed."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

from ratewire.wiring import System, Urls
from tests.support.gate import Gate


class Apart(NamedTuple):
    """The system, and its ways to the servers."""

    system: System
    store: Gate
    database: Gate


@asynccontextmanager
async def apart(system: System, directory: Path) -> AsyncGenerator[Apart]:
    """Such a system, with gates in `directory`, both still closed."""
    database, url = Gate.to_database(directory, system.urls.database)
    near = directory / "store"
    store = Gate(near, Path(system.urls.store.removeprefix("unix://")))
    second = System(system.settings, Urls(f"unix://{near}", url))
    try:
        yield Apart(second, store, database)
    finally:
        await second.close()
        await store.close()
        await database.close()
