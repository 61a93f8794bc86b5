"""One running system for all tests of this folder but the kills, and NASes that speak to it."""

import itertools
import time
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from tests.acceptance.books import Books
from tests.acceptance.coa_port import CoaPort
from tests.acceptance.installation import Installation, Serving
from tests.acceptance.pyrad_nas import PyradNas
from tests.acceptance.radclient import RadclientNas, needs_radclient
from tests.acceptance.records import Login
from tests.support.servers import server_directory

SECRET = b"a-shared-secret"

#: The NAS clients that are configured: name, network, vendor.
GENERIC, GENERIC_32BIT = "127.10", "127.11"
UNKNOWN = "127.99"

Nas = PyradNas | RadclientNas

_numbers = itertools.count(1)


class World(msgspec.Struct, frozen=True):
    """The running system, and what staff see of it."""

    installation: Installation
    serving: Serving
    books: Books

    def address(self, network: str) -> str:
        """An address that no test has used as a NAS before."""
        high, low = divmod(next(_numbers), 250)
        return f"{network}.{high}.{low + 1}"

    def nas(self, kind: type[Nas], network: str = GENERIC) -> Nas:
        """A NAS on an address of its own. It is the caller's to close."""
        return kind(self.address(network), self.installation.ports.acct, SECRET)

    def coa_port(self, address: str) -> CoaPort:
        """The CoA port of the NAS on an address."""
        return CoaPort(address, self.installation.ports.coa, SECRET)

    def login(self, user: str, session_id: str = "8100A3F2-00001C42", *, ago: int = 3600) -> Login:
        """A session that began so many seconds ago."""
        return Login(user, session_id, int(time.time()) - ago)


@pytest.fixture(scope="session")
def world() -> Iterator[World]:
    """The whole system, with the sample plans and two networks of NASes. Stopped in good order."""
    with server_directory() as directory:
        installation = Installation(directory)
        with Books(installation.settings) as books:
            provision(installation, books)
            serving = installation.serve()
            try:
                yield World(installation, serving, books)
            finally:
                status = serving.stop()
            assert status == 0, serving.log()


def provision(installation: Installation, books: Books) -> None:
    """Load the sample plans, and let two networks of NASes speak."""
    books.load_sample_plans()
    for network, vendor in ((GENERIC, "generic"), (GENERIC_32BIT, "generic-32bit")):
        books.add_nas(
            f"pop-{vendor}",
            f"{network}.0.0/16",
            secret=SECRET,
            vendor=vendor,
            coa_port=installation.ports.coa,
        )


@pytest.fixture
def books(world: World) -> Books:
    """What staff see."""
    return world.books


@pytest.fixture
def user() -> str:
    """A user name that no other test has."""
    return f"user-{next(_numbers)}@isp.example"


BOTH_CLIENTS: Any = [
    pytest.param(RadclientNas, id="radclient", marks=needs_radclient),
    pytest.param(PyradNas, id="pyrad"),
]


@pytest.fixture(params=BOTH_CLIENTS)
def nas(world: World, request: pytest.FixtureRequest) -> Iterator[Nas]:
    """A NAS on an address of its own, by either client."""
    speaking = world.nas(request.param)
    yield speaking
    speaking.close()


@pytest.fixture
def pyrad_nas(world: World) -> Iterator[PyradNas]:
    """A NAS on an address of its own, by pyrad."""
    speaking = world.nas(PyradNas)
    assert isinstance(speaking, PyradNas)
    yield speaking
    speaking.close()
