"""Finding a server again: only a process that surely is it counts."""

import os
import signal
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ratewire.embedded.place import Place
from ratewire.embedded.private_files import require_private_directory
from ratewire.embedded.process import identify
from ratewire.embedded.server import connection
from ratewire.embedded.server_user import ServerUser
from ratewire.embedded.valkey import Valkey
from tests.ratewire.embedded.conftest import as_root


@pytest.fixture
def valkey(place: Place) -> Valkey:
    server = Valkey(place, place.prepare_run_directory(), 64)
    require_private_directory(server.data_directory, place.user)
    return server


@contextmanager
def pretender(
    server: Valkey,
    name: str,
    argument: str,
    user: ServerUser | None = None,
    *,
    leads_session: bool = True,
) -> Generator[int]:
    """A living process with a command line of choice whose pid is in the server's pid file."""
    user = user or server.place.user
    process = subprocess.Popen(
        # `sh -c SCRIPT NAME`: the shell's $0 and arguments are in its command line, as given.
        [name, "-c", "sleep 60; exit", argument],
        executable="/bin/sh",
        start_new_session=leads_session,
        process_group=None if leads_session else 0,
        user=user.uid if os.geteuid() == 0 else None,
    )
    server.pid_file.write_text(f"{process.pid}\n")
    try:
        yield process.pid
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def test_a_process_of_this_user_program_and_data_is_the_server(valkey: Valkey) -> None:
    with pretender(valkey, "/any/where/valkey-server", str(valkey.data_directory)) as pid:
        assert valkey.find() == identify(pid)
    assert valkey.find() is None, "a pid file without a process is nothing"


def test_another_program_with_the_recorded_pid_is_not(valkey: Valkey) -> None:
    with pretender(valkey, "/usr/bin/editor", str(valkey.data_directory)):
        assert valkey.find() is None


def test_the_same_program_on_other_data_is_not(valkey: Valkey) -> None:
    with pretender(valkey, "/any/where/valkey-server", "/other/data"):
        assert valkey.find() is None


@as_root
def test_a_process_of_another_user_is_not(valkey: Valkey) -> None:
    """The servers' user writes the pid file: it must not be able to point root at anything else."""
    other = ServerUser(12345, 12345)
    with pretender(valkey, "/any/where/valkey-server", str(valkey.data_directory), other):
        assert valkey.find() is None


@pytest.mark.parametrize("recorded", ["", "1\n"])
def test_one_that_could_not_record_its_pid_is_found(valkey: Valkey, recorded: str) -> None:
    """The disk was full when it started. It must be stopped, and not started once more."""
    with pretender(valkey, "/any/where/valkey-server", str(valkey.data_directory)) as pid:
        valkey.pid_file.write_text(recorded)
        assert valkey.find() == identify(pid)


def test_what_a_server_has_forked_is_not_the_server(valkey: Valkey) -> None:
    """It lives on for a moment when the server was killed, and answers nobody."""
    name, data = "/any/where/valkey-server", str(valkey.data_directory)
    with pretender(valkey, name, data, leads_session=False):
        valkey.pid_file.unlink()
        assert valkey.find() is None


@pytest.mark.parametrize("content", ["", "\n", "many\n", "-1\n", "0\n"])
def test_a_pid_file_with_anything_else_in_it_is_nothing(valkey: Valkey, content: str) -> None:
    valkey.pid_file.write_text(content)
    assert valkey.find() is None


def test_a_pid_file_that_is_a_link_is_nothing(valkey: Valkey, tmp_path: Path) -> None:
    (tmp_path / "pid").write_text(f"{os.getpid()}\n")
    valkey.pid_file.symlink_to(tmp_path / "pid")
    assert valkey.recorded_pid() is None


def test_the_log_tail_is_of_both_files(valkey: Valkey) -> None:
    assert valkey.log_tail() == ""
    valkey.output_path.write_text("early\n")
    valkey.log_file.write_text("late\n")
    assert valkey.log_tail() == "early\nlate"


async def test_nobody_listening_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        async with connection(tmp_path / "none.sock"):
            pass
