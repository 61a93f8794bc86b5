"""The fixtures themselves: fresh databases from a migrated template, and nothing left behind."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import asyncpg
import pytest

from ratewire.embedded.process import identify
from ratewire.embedded.servers import describe
from tests.support import servers
from tests.support.servers import (
    DatabaseServer,
    Migrate,
    database_server,
    database_template,
    database_url,
    fresh_database,
    make_server_directory,
    remove_abandoned_server_directories,
    store_url,
)

__all__ = ["database_server", "database_template", "database_url", "store_url"]


@pytest.fixture(scope="session")
def migrate() -> Migrate:
    """A schema of one table."""

    async def create_table(url: str) -> None:
        connection = await asyncpg.connect(url)
        await connection.execute("CREATE TABLE invoices (number int)")
        await connection.close()

    return create_table


async def test_the_store_answers(store_url: str) -> None:
    path = store_url.removeprefix("unix://")
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(b"ECHO hello\r\n")
    assert await reader.readuntil(b"hello\r\n")
    writer.close()
    await writer.wait_closed()


@pytest.mark.parametrize("attempt", [1, 2])
async def test_each_test_has_a_database_of_its_own(database_url: str, attempt: int) -> None:
    """Both attempts find the migrated table, empty."""
    connection = await asyncpg.connect(database_url)
    assert await connection.fetchval("SELECT count(*) FROM invoices") == 0
    await connection.execute("INSERT INTO invoices VALUES (1)")
    await connection.close()


async def test_a_session_left_open_does_not_keep_the_database(
    database_server: DatabaseServer, database_template: str
) -> None:
    """A failed test may leave connections behind."""
    with fresh_database(database_server, database_template) as url:
        left_open = await asyncpg.connect(url)
    with pytest.raises(asyncpg.InvalidCatalogNameError):
        await asyncpg.connect(url)
    left_open.terminate()


def test_servers_of_a_killed_session_are_stopped_by_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The killed process is a real one, and its server a real Valkey."""
    prefix = f"ratewire-killed-tests-{os.geteuid()}-"
    monkeypatch.setattr(servers, "PREFIX", prefix)
    script = f"""
import asyncio, os, signal, tests.support.servers as servers
servers.PREFIX = {prefix!r}
path = servers.make_server_directory()
asyncio.run(servers.EmbeddedServers.use(path, want_database=False).__aenter__())
print(path, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    killed = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    abandoned = Path(killed.stdout.strip())
    own = make_server_directory()
    pids = [server.pid for server in describe(abandoned) if server.pid is not None]
    assert len(pids) == 1

    remove_abandoned_server_directories()

    assert not abandoned.exists()
    assert identify(pids[0]) is None
    assert own.exists(), "the directory of a living process is not touched"
    own.rmdir()
