"""Fixtures: a real Valkey and a real Postgres for the tests, embedded ones in a directory in /tmp.

To use them, import the fixtures by name in a conftest.py. All servers are stopped at the end of the
session, by their pids; those of a session that was killed, when the next one begins.

`migrate` is the hook for the schema: override that fixture with one that returns a coroutine
function, which is given the URL of the empty template database once a session.
"""

import asyncio
import os
import secrets
import shutil
import signal
import tempfile
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import msgspec
import pytest

from ratewire.embedded.process import identify
from ratewire.embedded.servers import EmbeddedServers, describe, stop_unused

Migrate = Callable[[str], Awaitable[None]]
Result = TypeVar("Result")


def _parent() -> Path:
    """Where the servers' data are: in memory where that can be, since no test pulls the plug.

    They sync as they are shipped to do, and a disk would make each test wait for it; what is
    durable is tested by processes that are killed.
    """
    memory = Path("/dev/shm")
    try:
        room = shutil.disk_usage(memory).free
    except OSError:
        room = 0
    return memory if room >= ROOM and os.access(memory, os.W_OK | os.X_OK) else Path("/tmp")


#: What the data of all tests' servers may come to, in octets.
ROOM = 4 << 30

PARENT = _parent()
PREFIX = f"ratewire-tests-{os.geteuid()}-"
TEMPLATE_DATABASE = "ratewire_template"


def run(coroutine: Coroutine[Any, Any, Result]) -> Result:
    """Run `coroutine` in an event loop of its own, whatever loop this thread has."""
    with ThreadPoolExecutor(max_workers=1) as executor:
        return executor.submit(asyncio.run, coroutine).result()


def make_server_directory() -> Path:
    """A directory with a short path that the servers' user can pass, named after this process."""
    path = Path(tempfile.mkdtemp(dir=PARENT, prefix=f"{PREFIX}{os.getpid()}-"))
    path.chmod(0o711)
    return path


def remove_server_directory(path: Path) -> None:
    """Stop every server whose data directory is in `path`, in good order or not, and delete it."""
    for data_dir in [path, *path.iterdir()]:
        if not data_dir.is_dir():
            continue
        run(stop_unused(data_dir))
        for server in describe(data_dir):
            if server.pid is not None:
                # Somebody still uses it, who will be gone with the session.
                os.kill(server.pid, signal.SIGKILL)
    shutil.rmtree(path)


def remove_abandoned_server_directories() -> None:
    """Do so for the directories of processes that are no more."""
    for path in PARENT.glob(f"{PREFIX}*"):
        pid = int(path.name.removeprefix(PREFIX).partition("-")[0])
        # Another session may be at it too.
        with suppress(FileNotFoundError):
            if path.lstat().st_uid == os.geteuid() and identify(pid) is None:
                remove_server_directory(path)


@contextmanager
def server_directory() -> Generator[Path]:
    """`make_server_directory`, and `remove_server_directory` at the end."""
    remove_abandoned_server_directories()
    path = make_server_directory()
    try:
        yield path
    finally:
        remove_server_directory(path)


@contextmanager
def running(servers: EmbeddedServers) -> Generator[EmbeddedServers]:
    """`servers`, entered and left outside any event loop of the tests."""
    run(servers.__aenter__())
    try:
        yield servers
    finally:
        run(servers.__aexit__(None, None, None))


class DatabaseServer(msgspec.Struct, frozen=True):
    """A running Postgres, on which this session may create databases."""

    admin_url: str

    def url(self, database: str) -> str:
        """The URL of one of its databases."""
        return urlunsplit(urlsplit(self.admin_url)._replace(path=f"/{database}"))

    def execute(self, statement: str) -> None:
        """Run one statement outside a transaction, such as CREATE DATABASE."""

        async def connect_and_execute() -> None:
            connection = await asyncpg.connect(self.admin_url)
            try:
                await connection.execute(statement)
            finally:
                await connection.close()

        run(connect_and_execute())


@pytest.fixture(scope="session")
def store_url() -> Iterator[str]:
    """The URL of a Valkey that is this session's alone. Its data are shared by all tests."""
    with (
        server_directory() as path,
        running(EmbeddedServers.use(path, want_database=False)) as servers,
    ):
        yield servers.store_url


@pytest.fixture(scope="session")
def database_server() -> Iterator[DatabaseServer]:
    """A Postgres that is this session's alone."""
    with (
        server_directory() as path,
        running(EmbeddedServers.use(path, want_store=False)) as servers,
    ):
        yield DatabaseServer(admin_url=servers.database_url)


@pytest.fixture(scope="session")
def migrate() -> Migrate | None:
    """What makes the schema, given a URL; None: databases are empty. To be overridden."""
    return None


@pytest.fixture(scope="session")
def database_template(database_server: DatabaseServer, migrate: Migrate | None) -> str:
    """The name of the migrated database that others are copied from."""
    database_server.execute(f"CREATE DATABASE {TEMPLATE_DATABASE}")

    async def apply(hook: Migrate) -> None:
        await hook(database_server.url(TEMPLATE_DATABASE))

    if migrate is not None:
        run(apply(migrate))
    return TEMPLATE_DATABASE


@contextmanager
def fresh_database(server: DatabaseServer, template: str) -> Generator[str]:
    """The URL of a new copy of `template`; dropped afterwards, whoever is still connected."""
    name = f"test_{secrets.token_hex(8)}"
    server.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
    try:
        yield server.url(name)
    finally:
        server.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def database_url(database_server: DatabaseServer, database_template: str) -> Iterator[str]:
    """The URL of a fresh, migrated database for one test."""
    with fresh_database(database_server, database_template) as url:
        yield url
