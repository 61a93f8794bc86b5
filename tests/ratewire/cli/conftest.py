"""Systems for the command line: one that serves, for all tests, and one without processes."""

import time
from collections.abc import Iterator
from pathlib import Path
from socket import AF_INET, SOCK_DGRAM, SOCK_STREAM, SocketKind, socket

import msgspec
import pytest

from balances.connection import Connection
from balances.housekeeping import StreamAndBooks
from config.load import load
from config.settings import Settings
from ratewire.wiring import Urls
from tests.acceptance.installation import HOST, Installation, Serving, eventually
from tests.acceptance.pyrad_nas import PyradNas
from tests.acceptance.records import Login
from tests.ratewire.cli.command_line import CommandLine
from tests.ratewire.conftest import emptied
from tests.support.servers import run, server_directory

SAMPLES = Path(__file__).parents[3] / "config" / "samples" / "plans.toml"

SECRET = b"a-shared-secret"


class Running(msgspec.Struct, frozen=True):
    """`ratewire serve` at work, the command line beside it, and a NAS."""

    installation: Installation
    serving: Serving
    ratewire: CommandLine
    nas: PyradNas
    began: int

    def subscriber(self, name: str, *, topup: str, plan: str = "metered") -> None:
        """Let a user in, at the expense of an account of the same name."""
        self.ratewire.done("account", "create", name, "--currency", "EUR")
        self.ratewire.done("topup", name, topup)
        self.ratewire.done("subscriber", "add", name, "--account", name, "--plan", plan)

    def login(self, user: str) -> Login:
        """The session of a user, which began a while ago."""
        return Login(user, f"session-of-{user}", self.began)


@pytest.fixture(scope="package")
def running() -> Iterator[Running]:
    """A system that serves, with the sample plans and one NAS, at 127.10.0.1."""
    with server_directory() as directory:
        installation = Installation(directory)
        serving = installation.serve()
        ratewire = CommandLine(installation.config)
        try:
            ratewire.done("plan", "load", str(SAMPLES))
            ratewire.done(
                *("nas", "add", "pop1", "--source", "127.10.0.0/16", "--secret", "-"),
                *("--coa-port", str(installation.ports.coa)),
                stdin=SECRET + b"\n",
            )
            nas = PyradNas("127.10.0.1", installation.ports.acct, SECRET)
            # Listeners heed a new NAS within moments, and what comes before is not answered.
            eventually(nas.is_heard)
            yield Running(installation, serving, ratewire, nas, int(time.time()) - 3600)
            nas.close()
        finally:
            assert serving.stop() == 0, serving.log()


class Configured(msgspec.Struct, frozen=True):
    """The command line on configured servers, where no process runs."""

    config: Path
    urls: Urls
    ratewire: CommandLine

    @property
    def settings(self) -> Settings:
        """As the commands read them."""
        return load(self.config, {})

    def in_store(self, *command: bytes | str | int) -> object:
        """Give the store a command of its own language."""

        async def give() -> object:
            connection = Connection(self.urls.store)
            try:
                return await connection.command(*command)
            finally:
                await connection.close()

        return run(give())

    def fence(self, reason: str) -> None:
        """Keep everybody from the books; "" lets them again."""

        async def put() -> None:
            connection = Connection(self.urls.store)
            try:
                await StreamAndBooks(connection).fence(reason)
            finally:
                await connection.close()

        run(put())

    def beside(self, name: str, **urls: str) -> CommandLine:
        """The command line with other servers: `store` or `database`."""
        return configure(self.config.with_name(name), msgspec.structs.replace(self.urls, **urls))


def configure(config: Path, urls: Urls) -> CommandLine:
    """The command line with a settings file for these servers, and for ports that are free."""
    config.write_text(
        f'[radius]\nbind = ["{HOST}"]\n'
        f"auth_port = {free_port(SOCK_DGRAM)}\nacct_port = {free_port(SOCK_DGRAM)}\n"
        f"[http]\nport = {free_port(SOCK_STREAM)}\n"
        f'[store]\nurl = "{urls.store}"\n[database]\nurl = "{urls.database}"\n'
        f'[data]\ndir = "{config.parent}"\n'
    )
    return CommandLine(config)


def free_port(kind: SocketKind) -> int:
    """A port of loopback that nobody has just now."""
    with socket(AF_INET, kind) as probe:
        probe.bind((HOST, 0))
        return probe.getsockname()[1]


@pytest.fixture
def configured(tmp_path: Path, store_url: str, database_url: str) -> Configured:
    """Configured servers: a store that is empty, a database that is migrated and empty."""

    async def empty() -> None:
        async with emptied(store_url):
            pass

    run(empty())
    config = tmp_path / "ratewire.toml"
    urls = Urls(store_url, database_url)
    return Configured(config, urls, configure(config, urls))


@pytest.fixture
def stocked(configured: Configured) -> Configured:
    """Configured servers with the sample plans, the account `acme`, and `alice` on its expense."""
    ratewire = configured.ratewire
    ratewire.done("plan", "load", str(SAMPLES))
    ratewire.done("account", "create", "acme", "--currency", "EUR")
    ratewire.done("subscriber", "add", "alice", "--account", "acme", "--plan", "metered")
    return configured
