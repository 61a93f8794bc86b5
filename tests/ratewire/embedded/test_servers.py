"""The embedded servers as a whole: who uses them, who stops them, and what survives."""

import asyncio
import os
import pwd
import signal
import socket
import subprocess
from contextlib import ExitStack, suppress
from pathlib import Path

import asyncpg
import pytest
import uvloop

from ratewire.embedded import lifecycle
from ratewire.embedded import servers as servers_module
from ratewire.embedded.errors import EmbeddedServersError, ServerStartError
from ratewire.embedded.locks import FileLock
from ratewire.embedded.place import SYSTEM_DIRECTORY, find_place
from ratewire.embedded.postgres import UNFINISHED_PREFIX
from ratewire.embedded.process import command_line, effective_uid, identify
from ratewire.embedded.programs import Programs
from ratewire.embedded.server_user import ServerUser
from ratewire.embedded.servers import EmbeddedServers, describe, stop_unused
from tests.ratewire.embedded.conftest import as_root
from tests.ratewire.embedded.test_place import closed_home, closed_programs, modes
from tests.support.embedded_holder import holder, python_for
from tests.support.valkey_command import valkey_command


def pids(data_dir: Path) -> dict[str, int | None]:
    return {server.name: server.pid for server in describe(data_dir)}


def signal_server(pid: int | None, number: int) -> None:
    assert pid is not None
    os.kill(pid, number)


async def remember(servers: EmbeddedServers, value: int) -> None:
    """Leave `value` in both servers."""
    assert await valkey_command(servers.store_url, "SET", "value", str(value)) == "OK"
    connection = await asyncpg.connect(servers.database_url)
    await connection.execute("CREATE TABLE IF NOT EXISTS kept (value bigint)")
    await connection.execute("INSERT INTO kept VALUES ($1)", value)
    await connection.close()


async def remembered(store_url: str, database_url: str) -> tuple[str, list[int]]:
    """What `remember` has left in Valkey, and in Postgres."""
    connection = await asyncpg.connect(database_url)
    rows = await connection.fetch("SELECT value FROM kept ORDER BY value")
    await connection.close()
    return await valkey_command(store_url, "GET", "value"), [row["value"] for row in rows]


async def test_data_survive_a_stop_and_a_start(home: Path) -> None:
    async with EmbeddedServers.use(home / "var") as servers:
        await remember(servers, 42)
    assert pids(home / "var") == {"valkey": None, "postgres": None}
    async with EmbeddedServers.use(home / "var") as servers:
        assert await remembered(servers.store_url, servers.database_url) == ("42", [42])


async def test_the_servers_are_durable_bounded_and_closed(data_dir: Path) -> None:
    """What they say of themselves, and what the kernel says of them."""
    async with EmbeddedServers.use(data_dir, memory_mb=64) as servers:
        for name, value in {
            "appendonly": "yes",
            "appendfsync": "always",
            "save": "",
            "maxmemory": str(64 * 1024 * 1024),
            "maxmemory-policy": "noeviction",
            "port": "0",
        }.items():
            reply = await valkey_command(servers.store_url, "CONFIG", "GET", name)
            assert reply == f"{name} {value}"
        connection = await asyncpg.connect(servers.database_url)
        for name, value in {
            "listen_addresses": "",
            "fsync": "on",
            "synchronous_commit": "on",
            "full_page_writes": "on",
            "wal_compression": "pglz",
            "max_wal_size": "2GB",
            "shared_buffers": "128MB",
        }.items():
            assert await connection.fetchval(f"SHOW {name}") == value
        await connection.close()

        user = user_of(data_dir)
        for server in servers.status:
            assert server.pid is not None
            assert effective_uid(server.pid) == user.uid != 0
            assert os.getsid(server.pid) == server.pid
            assert tcp_ports(server.pid, user) == []
            for directory in (server.data_directory, server.socket_path.parent):
                status = directory.stat()
                assert (status.st_uid, status.st_mode & 0o777) == (user.uid, 0o700)


def user_of(data_dir: Path) -> ServerUser:
    place = find_place(data_dir)
    assert place is not None
    return place.user


def tcp_ports(pid: int, user: ServerUser) -> list[str]:
    """The local addresses of the TCP sockets that `pid`, a process of `user`, has open.

    Asked as that user: root in a container may lack the capability to look at others' files.
    """
    listing = ["/bin/ls", "-l", f"/proc/{pid}/fd"]
    links = user.run(listing).stdout.decode()
    assert "socket:[" in links, "the servers' own sockets are among them"
    tables = [table for table in map(Path, ("/proc/net/tcp", "/proc/net/tcp6")) if table.exists()]
    rows = [line.split() for table in tables for line in table.read_text().splitlines()[1:]]
    return [row[1] for row in rows if f"socket:[{row[9]}]" in links]


def test_the_search_for_tcp_ports_finds_one() -> None:
    with socket.create_server(("127.0.0.1", 0)):
        ourselves = ServerUser(os.geteuid(), os.getegid())
        assert len(tcp_ports(os.getpid(), ourselves)) == 1


@as_root
async def test_the_servers_of_root_have_given_up_its_groups(data_dir: Path) -> None:
    async with EmbeddedServers.use(data_dir) as servers:
        for server in servers.status:
            status = Path(f"/proc/{server.pid}/status").read_text().splitlines()
            [groups] = [line for line in status if line.startswith("Groups:")]
            [gids] = [line for line in status if line.startswith("Gid:")]
            assert groups.split()[1:] == []
            assert set(gids.split()[1:]) == {str(pwd.getpwnam("nobody").pw_gid)}


async def test_only_what_is_wanted_is_started(home: Path) -> None:
    async with EmbeddedServers.use(home / "var", want_database=False) as servers:
        assert [server.name for server in servers.status] == ["valkey"]
        assert pids(home / "var")["postgres"] is None
        assert not (home / "var" / "postgres").exists()
        with pytest.raises(AssertionError, match="postgres is not wanted"):
            _ = servers.database_url


async def test_an_adopter_finds_the_servers_of_a_killed_process(data_dir: Path) -> None:
    """kill -9 of the parent alone: the same servers go on, and there are no others."""
    with holder(data_dir) as parent:
        report = parent.report()
        parent.kill()
    assert pids(data_dir) == report.pids
    async with EmbeddedServers.use(data_dir) as servers:
        assert {server.name: server.pid for server in servers.status} == report.pids
        assert (servers.store_url, servers.database_url) == (
            report.store_url,
            report.database_url,
        )
        await remember(servers, 1)
    assert pids(data_dir) == {"valkey": None, "postgres": None}


async def test_starters_at_once_share_one_pair_of_servers(home: Path) -> None:
    with ExitStack() as stack:
        starters = [stack.enter_context(holder(home / "var")) for _ in range(4)]
        reports = [starter.report() for starter in starters]
        assert all(report == reports[0] for report in reports)
        assert None not in reports[0].pids.values()
        *first_ones, last_one = starters
        for starter in first_ones:
            starter.leave()
            assert pids(home / "var") == reports[0].pids, "others still use them"
        last_one.leave()
    assert pids(home / "var") == {"valkey": None, "postgres": None}


async def test_a_killed_user_does_not_count(data_dir: Path) -> None:
    with holder(data_dir) as killed, holder(data_dir) as other:
        report = killed.report()
        other.report()
        killed.kill()
        assert pids(data_dir) == report.pids
        other.leave()
    assert pids(data_dir) == {"valkey": None, "postgres": None}


async def test_ctrl_c_reaches_the_process_and_not_its_servers(data_dir: Path) -> None:
    """The process stops them, as its last step; they do not stop beneath it."""
    with holder(data_dir) as other, holder(data_dir) as interrupted:
        report = other.report()
        interrupted.report()
        interrupted.interrupt_group()
        assert pids(data_dir) == report.pids
        assert await valkey_command(report.store_url, "PING") == "PONG"
        other.leave()


async def test_servers_come_and_go_without_losing_any(home: Path) -> None:
    """Users that start and leave at random never meet a server that is just being stopped."""

    async def use_once(number: int) -> None:
        await asyncio.sleep(number * 0.05)
        async with EmbeddedServers.use(home / "var", want_database=False) as servers:
            assert await valkey_command(servers.store_url, "INCR", "visits")

    await asyncio.gather(*(use_once(number) for number in range(20)))
    async with EmbeddedServers.use(home / "var", want_database=False) as servers:
        assert await valkey_command(servers.store_url, "GET", "visits") == "20"


async def test_killed_servers_are_started_again(data_dir: Path) -> None:
    async with EmbeddedServers.use(data_dir) as servers:
        await remember(servers, 1)
        assert await servers.ensure_running() == ()
        before = pids(data_dir)
        signal_server(before["valkey"], signal.SIGKILL)
        signal_server(before["postgres"], signal.SIGKILL)
        await until_dead(before)
        assert set(await servers.ensure_running()) == {"valkey", "postgres"}
        assert not set(before.values()) & set(pids(data_dir).values())
        assert await remembered(servers.store_url, servers.database_url) == ("1", [1])
        assert await servers.ensure_running() == ()


async def until_dead(before: dict[str, int | None]) -> None:
    async with asyncio.timeout(30):
        while any(identify(pid) for pid in before.values() if pid is not None):
            await asyncio.sleep(0.01)


async def test_the_last_words_of_a_server_that_ended_are_told(
    home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Such as that its disk is full."""
    async with EmbeddedServers.use(home / "var", want_database=False) as servers:
        before = pids(home / "var")
        with suppress(asyncio.IncompleteReadError):
            await valkey_command(servers.store_url, "SHUTDOWN")
        await until_dead(before)
        assert await servers.ensure_running() == ("valkey",)
    [told] = [line for line in caplog.messages if "is not running" in line]
    assert "ready to exit" in told


async def test_one_of_two_users_restarts_and_the_other_adopts(home: Path) -> None:
    first = EmbeddedServers.use(home / "var", want_database=False)
    second = EmbeddedServers.use(home / "var", want_database=False)
    async with first, second:
        before = pids(home / "var")
        signal_server(before["valkey"], signal.SIGKILL)
        await until_dead(before)
        await asyncio.gather(first.ensure_running(), second.ensure_running())
        assert first.status == second.status
        assert first.status[0].pid not in (None, before["valkey"])


async def test_a_socket_that_was_cleared_away_comes_back_under_its_name(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lifecycle, "NO_SOCKET_SECONDS", 0.1)
    async with EmbeddedServers.use(home / "var", want_database=False) as servers:
        url = servers.store_url
        servers.status[0].socket_path.unlink()
        assert await servers.ensure_running() == ("valkey",)
        assert servers.store_url == url
        assert await valkey_command(url, "PING") == "PONG"


async def test_a_long_path_with_spaces_and_more_works(home: Path, programs: Programs) -> None:
    """Sockets are then in a short directory; the data stay where they were wanted."""
    data_dir = home / ("long " * 20) / 'it\'s \u00e4 "clone", with #1 100% $HOME' / "var"
    async with EmbeddedServers.use(data_dir, programs=programs) as servers:
        await remember(servers, 1)
        socket_directory = servers.status[0].socket_path.parent
        assert len(str(socket_directory)) < 30
        assert servers.status[0].data_directory == data_dir / "valkey"
        status = socket_directory.stat()
        assert (status.st_uid, status.st_mode & 0o777) == (
            data_dir.joinpath("valkey").stat().st_uid,
            0o700,
        )
    async with EmbeddedServers.use(data_dir, programs=programs) as servers:
        assert servers.status[0].socket_path.parent == socket_directory
        assert await remembered(servers.store_url, servers.database_url) == ("1", [1])
    socket_directory.rmdir()


async def test_an_initdb_killed_half_way_is_done_anew(home: Path) -> None:
    """The starter and its initdb die with kill -9 when the new cluster is part written."""
    with holder(home / "var") as starter:
        unfinished = await _until_initdb_writes(home / "var")
        starter.kill()
    _kill_initdb(unfinished)
    assert not (home / "var" / "postgres").exists()
    async with EmbeddedServers.use(home / "var") as servers:
        await remember(servers, 1)
    assert not list((home / "var").glob(f"{UNFINISHED_PREFIX}*"))


async def _until_initdb_writes(data_dir: Path) -> Path:
    async with asyncio.timeout(60):
        while True:
            found = list(data_dir.glob(f"{UNFINISHED_PREFIX}*/home/PG_VERSION"))
            if found:
                return found[0].parent
            await asyncio.sleep(0.001)


def _kill_initdb(directory: Path) -> None:
    argument = f"--pgdata={directory}".encode()
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if argument in words:
            os.kill(int(path.parent.name), signal.SIGKILL)


async def test_when_one_server_fails_the_other_is_not_left_running(data_dir: Path) -> None:
    """And the error is of the one that failed, with its log."""
    async with EmbeddedServers.use(data_dir) as servers:
        await remember(servers, 1)
    [path] = (data_dir / "valkey" / "appendonlydir").glob("*.incr.aof")
    path.write_bytes(b"garbage\r\n" + path.read_bytes())
    with pytest.raises(EmbeddedServersError, match="Bad file format") as caught:
        await EmbeddedServers.use(data_dir).__aenter__()
    assert isinstance(caught.value.__cause__, ServerStartError)
    assert pids(data_dir) == {"valkey": None, "postgres": None}


async def test_a_cancelled_start_leaves_nothing_running(home: Path) -> None:
    """Ctrl-C while Postgres makes its cluster, when Valkey already runs."""
    entering = asyncio.create_task(EmbeddedServers.use(home / "var").__aenter__())
    async with asyncio.timeout(60):
        while pids(home / "var").get("valkey") is None:
            await asyncio.sleep(0.005)
    entering.cancel()
    with pytest.raises(asyncio.CancelledError):
        await entering
    assert pids(home / "var") == {"valkey": None, "postgres": None}
    async with EmbeddedServers.use(home / "var") as servers:
        await remember(servers, 1)


async def test_nothing_that_we_did_not_create_changes(home: Path, programs: Programs) -> None:
    """Neither modes nor owners: of the directories above, and of the installed wheels."""

    def snapshot() -> dict[Path, tuple[int, int, int]]:
        wheels = [programs.valkey_server, *programs.postgres_home.rglob("*")]
        found = modes(home) | modes(programs.postgres_home)
        for path in wheels:
            status = path.lstat()
            found[path] = (status.st_mode, status.st_uid, status.st_gid)
        return found

    before = snapshot()
    async with EmbeddedServers.use(home / "var") as servers:
        await remember(servers, 1)
    assert snapshot() == before


def test_users_are_not_bound_to_an_event_loop_and_uvloop_serves_too(home: Path) -> None:
    servers = EmbeddedServers.use(home / "var")
    asyncio.run(servers.__aenter__())
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(remember(servers, 1))
        assert runner.run(servers.ensure_running()) == ()
        runner.run(servers.__aexit__(None, None, None))
    assert pids(home / "var") == {"valkey": None, "postgres": None}


async def test_describing_creates_nothing(home: Path) -> None:
    assert describe(home / "var") == ()
    assert list(home.iterdir()) == []


async def test_describing_tells_what_runs_and_where(data_dir: Path) -> None:
    async with EmbeddedServers.use(data_dir) as servers:
        assert describe(data_dir) == servers.status
        for server in servers.status:
            assert server.pid is not None
            assert server.socket_path.exists()
            assert server.log_file.exists()


async def test_servers_of_a_killed_process_can_be_stopped(home: Path) -> None:
    assert await stop_unused(home / "var"), "there never were any"
    with holder(home / "var") as parent:
        parent.report()
        assert not await stop_unused(home / "var"), "they are in use"
        parent.kill()
    assert await stop_unused(home / "var")
    assert pids(home / "var") == {"valkey": None, "postgres": None}


async def test_leaving_does_not_wait_for_ever_behind_a_slow_starter(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The starter is their next user, and will stop them."""
    monkeypatch.setattr(servers_module, "LEAVE_LOCK_SECONDS", 0.1)
    async with EmbeddedServers.use(home / "var", want_database=False):
        starter = FileLock(home / "var" / "start.lock")
        assert starter.try_acquire()
    assert pids(home / "var")["valkey"] is not None
    starter.release()
    assert await stop_unused(home / "var")


async def test_a_starter_that_never_ends_is_named(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(servers_module, "START_LOCK_SECONDS", 0.1)
    (home / "var").mkdir()
    starter = FileLock(home / "var" / "start.lock")
    assert starter.try_acquire()
    with pytest.raises(EmbeddedServersError, match=r"starting or stopping.*start\.lock"):
        await EmbeddedServers.use(home / "var").__aenter__()
    starter.release()


async def test_an_unwritable_file_is_an_error_that_names_it(home: Path) -> None:
    (home / "var").mkdir(mode=0o755)
    (home / "var" / "users.lock").symlink_to("/etc/passwd")
    with pytest.raises(EmbeddedServersError, match=r"users\.lock"):
        await EmbeddedServers.use(home / "var").__aenter__()


@as_root
async def test_root_in_a_closed_home(home: Path, programs: Programs) -> None:
    """Neither clone nor wheels can be reached: data and programs go to the system directory."""
    closed = closed_programs(home, programs)
    data_dir = home / "root" / "clone" / "var"
    before = modes(data_dir.parent)

    def use() -> EmbeddedServers:
        system = home / "system"
        return EmbeddedServers.use(data_dir, programs=closed, system_directory=system)

    async with use() as servers:
        await remember(servers, 1)
        [root] = (home / "system").iterdir()
        for server in servers.status:
            assert server.data_directory.parent == root
            assert server.pid is not None
            program = Path(command_line(server.pid)[0])
            assert program.is_relative_to(root / "programs")
    assert modes(data_dir.parent) == before
    (root / "programs" / "valkey-0-postgres-0").mkdir()
    async with use() as servers:
        assert await remembered(servers.store_url, servers.database_url) == ("1", [1])
    assert [path.name for path in (root / "programs").iterdir()] == [closed.version]


@as_root
async def test_root_in_a_closed_home_uses_the_systems_directory(home: Path) -> None:
    """The real one, which is then removed."""
    existed = SYSTEM_DIRECTORY.exists()
    data_dir = closed_home(home) / "var"
    root: Path | None = None
    try:
        async with EmbeddedServers.use(data_dir, want_database=False) as servers:
            root = servers.status[0].data_directory.parent
            assert root.parent == SYSTEM_DIRECTORY
            assert await valkey_command(servers.store_url, "PING") == "PONG"
    finally:
        if root is not None:
            subprocess.run(["rm", "-r", str(root)], check=True)
        if not existed and SYSTEM_DIRECTORY.exists():
            SYSTEM_DIRECTORY.rmdir()


@as_root
async def test_an_ordinary_user_then_root_then_the_user_again(home: Path) -> None:
    """Root finds the user's data, runs the servers as that user, and leaves them usable."""
    entry = pwd.getpwnam("daemon")
    user = ServerUser(entry.pw_uid, entry.pw_gid)
    python = python_for(user)
    if python is None:
        pytest.skip(f"no Python with our dependencies that uid {user.uid} can run")
    os.chown(home, user.uid, user.gid)
    with holder(home / "var", user=user, python=python) as ordinary:
        report = ordinary.report()
        assert {effective_uid(pid) for pid in report.pids.values() if pid} == {user.uid}
        ordinary.leave()
    assert (home / "var").stat().st_mode & 0o777 == 0o700

    async with EmbeddedServers.use(home / "var") as servers:
        assert {effective_uid(server.pid) for server in servers.status if server.pid} == {user.uid}
        await remember(servers, 1)

    with holder(home / "var", user=user, python=python) as ordinary:
        report = ordinary.report()
        assert await remembered(report.store_url, report.database_url) == ("1", [1])
        ordinary.leave()
    assert {path.stat().st_uid for path in (home / "var").iterdir()} == {user.uid}


@as_root
async def test_an_ordinary_user_is_told_that_the_data_are_roots(home: Path) -> None:
    user = ServerUser(pwd.getpwnam("daemon").pw_uid, pwd.getpwnam("daemon").pw_gid)
    python = python_for(user)
    if python is None:
        pytest.skip(f"no Python with our dependencies that uid {user.uid} can run")
    async with EmbeddedServers.use(home / "var", want_database=False):
        with (
            holder(home / "var", user=user, python=python) as ordinary,
            pytest.raises(AssertionError, match="belongs to uid 0"),
        ):
            ordinary.report()
