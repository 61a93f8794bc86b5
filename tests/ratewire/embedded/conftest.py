"""Every test here has a directory of its own for servers, and leaves no server behind."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ratewire.embedded.place import Place, claim_place
from ratewire.embedded.postgres import create_cluster
from ratewire.embedded.programs import Programs, find_programs
from ratewire.embedded.server_user import ServerUser, choose_server_user
from tests.support.servers import server_directory

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root runs servers as somebody else")


@pytest.fixture
def home() -> Iterator[Path]:
    """A directory with a short path that the servers' user can pass."""
    with server_directory() as path:
        yield path


@pytest.fixture
def place(home: Path) -> Place:
    """A place in `home`, as root or not."""
    return claim_place(home / "var")


@pytest.fixture(scope="session")
def programs() -> Iterator[Programs]:
    """Programs that the servers' user can run: the wheels', or a copy of them."""
    with server_directory() as path:
        yield claim_place(path).prepare_programs(find_programs())


@pytest.fixture
def server_user(home: Path) -> ServerUser:
    """Who the servers run as in `home`: ourselves, or `nobody` when we are root."""
    return choose_server_user(home, [])


@pytest.fixture(scope="session")
def cluster_template(programs: Programs) -> Iterator[Path]:
    """A Postgres data directory as initdb makes it, never started: copying it is faster."""
    with server_directory() as path:
        place = claim_place(path)
        create_cluster(place.postgres_data, place.user, programs)
        yield place.postgres_data


@pytest.fixture
def data_dir(home: Path, cluster_template: Path) -> Path:
    """A data directory that has been used before: its Postgres cluster exists."""
    place = claim_place(home / "var")
    # With owner and modes, as `shutil` would not.
    subprocess.run(["cp", "--archive", cluster_template, place.postgres_data], check=True)
    return place.data_dir
