"""Processes told apart by /proc, started to outlive us, and waited for without being ours."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from ratewire.embedded.process import (
    ProcessIdentity,
    command_line,
    effective_uid,
    has_entry,
    identify,
    session_leaders,
    start_detached,
)
from ratewire.embedded.server_user import ServerUser

OURSELVES = ServerUser(os.geteuid(), os.getegid())
# Runs until its standard input ends or it is told to.
WAIT = [sys.executable, "-c", "import sys; sys.stdin.read()"]


def free_pid() -> int:
    """A pid that nobody has any more."""
    with subprocess.Popen(["/bin/true"]) as process:
        pass
    return process.pid


def start(argv: list[str], user: ServerUser = OURSELVES) -> ProcessIdentity:
    with Path(os.devnull).open("r+b", buffering=0) as null:
        descriptor = null.fileno()
        identity = start_detached(
            argv, user, output=descriptor, inherited=descriptor, environment={}
        )
    assert identity is not None
    return identity


def test_a_process_is_known_by_pid_and_start() -> None:
    ourselves = identify(os.getpid())
    assert ourselves is not None
    assert ourselves.is_alive()
    earlier = msgspec.structs.replace(ourselves, start_ticks=ourselves.start_ticks - 1)
    assert not earlier.is_alive(), "a process that had our pid before us"
    assert not earlier.signal(signal.SIGKILL), "and it is not us who is killed for it"


def test_a_name_with_parentheses_and_spaces_does_not_confuse(tmp_path: Path) -> None:
    program = tmp_path / "a) Z 0 ("
    program.symlink_to("/bin/sleep")
    process = start([str(program), "60"])
    try:
        assert identify(process.pid) == process
        assert command_line(process.pid) == (str(program), "60")
    finally:
        process.signal(signal.SIGKILL)


def test_nobody_has_a_free_pid() -> None:
    pid = free_pid()
    assert identify(pid) is None
    assert command_line(pid) == ()
    assert effective_uid(pid) is None


def test_an_ended_process_is_not_alive_before_it_is_reaped() -> None:
    with subprocess.Popen(WAIT, stdin=subprocess.PIPE) as process:
        assert identify(process.pid) is not None
        assert process.stdin is not None
        process.stdin.close()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert identify(process.pid) is None
        assert has_entry(process.pid)
    assert not has_entry(process.pid)


async def test_a_detached_process_is_signalled_and_reaped() -> None:
    process = start(["/bin/sleep", "60"])
    assert process.is_alive()
    assert process.pid in set(session_leaders())
    assert not await process.wait_until_gone(0.05)
    assert process.signal(signal.SIGTERM)
    assert await process.wait_until_gone(30)
    assert not Path(f"/proc/{process.pid}").exists(), "no zombie is left"
    assert not process.signal(signal.SIGTERM)


def test_a_detached_process_has_its_own_session_directory_and_descriptors(
    tmp_path: Path, server_user: ServerUser
) -> None:
    """It keeps the descriptor that it was given, and none else."""
    with (tmp_path / "output").open("wb") as output, (tmp_path / "lock").open("wb") as lock:
        script = "id -u; pwd; umask; echo $TZ$X; ls /proc/$$/fd; cut -d' ' -f1,6 /proc/$$/stat"
        process = start_detached(
            ["/bin/sh", "-c", script],
            server_user,
            output=output.fileno(),
            inherited=lock.fileno(),
            environment={"X": "+1"},
        )
        assert process is not None
        os.waitpid(process.pid, 0)
        expected = [0, 1, 2, lock.fileno()]
    words = (tmp_path / "output").read_text().splitlines()
    uid, directory, umask, environment, *descriptors, session = words
    assert (uid, directory, umask) == (str(server_user.uid), "/", "0077")
    assert environment == "UTC+1"
    assert sorted(map(int, descriptors)) == expected
    assert session == f"{process.pid} {process.pid}"


def test_the_effective_uid_is_that_of_the_user(server_user: ServerUser) -> None:
    process = start(["/bin/sleep", "60"], server_user)
    try:
        assert effective_uid(process.pid) == server_user.uid
    finally:
        process.signal(signal.SIGKILL)


def test_a_program_that_is_not_there_is_an_error() -> None:
    with pytest.raises(FileNotFoundError):
        start(["/none"])
