"""Who the servers run as, and that what this user can do is tried, not guessed."""

import os
import pwd
import subprocess
import sys
from pathlib import Path

import pytest

from ratewire.embedded.errors import EmbeddedServersError
from ratewire.embedded.server_user import ServerUser, child_environment, choose_server_user
from tests.ratewire.embedded.conftest import as_root


def test_a_program_runs_as_the_user_in_a_clean_environment(
    server_user: ServerUser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGDATA", "/somewhere/else")
    script = 'id -u; id -G; pwd; umask; echo "[$PGDATA]"; cat'
    result = server_user.run(["/bin/sh", "-c", script], stdin=b"input")
    uid, groups, directory, umask, pgdata, stdin = result.stdout.decode().splitlines()
    assert (int(uid), directory, umask, pgdata, stdin) == (
        server_user.uid,
        "/",
        "0077",
        "[]",
        "input",
    )
    if not server_user.is_self:
        assert groups.split() == [str(server_user.gid)], "root's groups are given up"


def test_a_program_is_out_of_reach_of_our_terminal(server_user: ServerUser) -> None:
    """It leads a session of its own, so a Ctrl-C for us does not end initdb half-way."""
    result = server_user.run(["/bin/sh", "-c", "echo $$; cut -d' ' -f6 /proc/$$/stat"])
    pid, session = result.stdout.split()
    assert pid == session


def test_only_what_the_loader_needs_is_kept_of_the_environment() -> None:
    kept = child_environment({"LD_LIBRARY_PATH": "/nix/lib", "PGPORT": "1", "LANG": "de_DE"})
    assert kept["LD_LIBRARY_PATH"] == "/nix/lib"
    assert kept["LC_ALL"] == "C"
    assert not {"PGPORT", "LANG"} & set(kept)


def test_what_can_be_executed_read_and_entered(home: Path, server_user: ServerUser) -> None:
    program = home / "program"
    program.write_text("#!/bin/sh\nexit 0\n")
    program.chmod(0o755)
    assert server_user.can_execute(program)
    assert server_user.can_read([program, Path("/bin/sh")])
    assert server_user.can_enter(home)

    assert not server_user.can_execute(home / "none")
    assert not server_user.can_read([program, home / "none"])
    assert not server_user.can_enter(home / "none")
    program.write_text("#!/bin/sh\nexit 1\n")
    assert not server_user.can_execute(program), "it must run, not merely exist"


@as_root
def test_what_is_closed_to_another_user_is_found_closed(home: Path) -> None:
    user = choose_server_user(home, [])
    closed = home / "closed"
    closed.mkdir(mode=0o700)
    (closed / "inner").mkdir(mode=0o755)
    program = closed / "inner" / "program"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    assert not user.can_execute(program)
    assert not user.can_read([program])
    assert not user.can_enter(closed / "inner")
    assert user.closed_directory_above(closed / "inner") == closed


@pytest.mark.skipif(os.geteuid() == 0, reason="root's servers run as somebody else")
def test_an_ordinary_users_servers_are_that_users(home: Path) -> None:
    assert choose_server_user(home, []) == ServerUser(os.geteuid(), os.getegid())


@as_root
def test_roots_servers_are_nobodys_unless_there_are_data_of_a_user(home: Path) -> None:
    nobody = pwd.getpwnam("nobody")
    data = home / "data"
    assert choose_server_user(home, [data]) == ServerUser(nobody.pw_uid, nobody.pw_gid)

    data.mkdir()
    assert choose_server_user(home, [data]) == ServerUser(nobody.pw_uid, nobody.pw_gid)
    os.chown(data, 12345, 54321)
    assert choose_server_user(home, [data]) == ServerUser(12345, 54321)
    assert choose_server_user(data, []) == ServerUser(12345, 54321), "a user's data.dir likewise"


@as_root
def test_without_an_unprivileged_user_root_is_told_what_to_do(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ratewire.embedded.server_user.UNPRIVILEGED_NAME", "no such user")
    with pytest.raises(EmbeddedServersError, match=r"set store\.url and database\.url"):
        choose_server_user(home, [])


# Drops the capability to change users from what it may ever have again, which takes effect at the
# next execve, and then looks for a user.
WITHOUT_CAPABILITY = """
import ctypes, os, pathlib, sys
if sys.argv[2] == "drop":
    PR_CAPBSET_DROP, CAP_SETGID, CAP_SETUID = 24, 6, 7
    libc = ctypes.CDLL(None)
    assert all(libc.prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) == 0 for cap in (CAP_SETGID, CAP_SETUID))
    os.execv(sys.executable, [*sys.orig_argv[:-1], "look"])
from ratewire.embedded.errors import EmbeddedServersError
from ratewire.embedded.server_user import choose_server_user
try:
    choose_server_user(pathlib.Path(sys.argv[1]), [])
except EmbeddedServersError as error:
    print(error)
"""


@as_root
def test_root_without_the_right_to_change_users_is_told_so(home: Path) -> None:
    """As in a container started with --cap-drop=ALL."""
    repository = Path(__file__).parent.parent.parent.parent
    argv = [sys.executable, "-c", WITHOUT_CAPABILITY, str(home), "drop"]
    said = subprocess.run(argv, cwd=repository, stdout=subprocess.PIPE, text=True).stdout
    assert "this process may not become uid" in said
    assert "Operation not permitted" in said
