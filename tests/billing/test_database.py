"""Connections: what crosses them, and what their errors mean."""

import asyncio
import os
import secrets
import signal
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import pytest

from billing.database import (
    APPLICATION_ROLE,
    Connection,
    DatabaseUnavailable,
    Pool,
    connect,
    may_change_the_ledger,
    refused,
    schema_version,
    unavailable,
    within,
)
from billing.partitions import ensure as partitions
from migrations import runner
from ratewire.embedded.servers import EmbeddedServers
from tests.support.frozen import frozen
from tests.support.servers import DatabaseServer, running, server_directory


async def error_of(conn: Connection, statement: str) -> Exception:
    with pytest.raises(Exception) as caught:  # noqa: PT011 -- which one is what the tests ask
        await conn.execute(statement)
    return caught.value


async def test_jsonb_crosses_as_octets_of_json(conn: Connection) -> None:
    value = await conn.fetchval("SELECT $1::jsonb || '{\"b\": [2]}'", b'{"a":1}')
    assert value == b'{"a": 1, "b": [2]}'


async def test_times_are_utc(conn: Connection) -> None:
    assert await conn.fetchval("SHOW timezone") == "UTC"


async def test_a_server_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(DatabaseUnavailable, match="no connection to the database"):
        await connect(f"postgresql://ratewire@/ratewire?host={tmp_path}", size=1)


async def test_a_database_that_is_not_there_is_unavailable(database_server: DatabaseServer) -> None:
    with pytest.raises(DatabaseUnavailable, match="nowhere"):
        await connect(database_server.url("nowhere"), size=1)


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT 1/0",
        "SELECT 'x'::integer",
        "INSERT INTO publications VALUES ('plans', 1)",
        "INSERT INTO publications VALUES ('else', 1)",
    ],
)
async def test_a_refusal_of_data_is_told_from_all_else(conn: Connection, statement: str) -> None:
    error = await error_of(conn, statement)
    assert refused(error)
    assert not unavailable(error)


@pytest.mark.parametrize("statement", ["SELEKT", "SELECT * FROM nowhere"])
async def test_a_fault_of_ours_is_neither(conn: Connection, statement: str) -> None:
    error = await error_of(conn, statement)
    assert not refused(error)
    assert not unavailable(error)


async def test_a_statement_that_takes_too_long_may_be_repeated(conn: Connection) -> None:
    await conn.execute("SET statement_timeout = 1")
    assert unavailable(await error_of(conn, "SELECT pg_sleep(10)"))


async def test_a_lock_that_is_not_to_be_had_may_be_tried_again(pool: Pool) -> None:
    async with pool.acquire() as one, pool.acquire() as other, one.transaction():
        await one.execute("LOCK TABLE publications")
        await other.execute("SET lock_timeout = 1")
        assert unavailable(await error_of(other, "UPDATE publications SET revision = 1"))


async def test_a_deadlock_may_be_tried_again(pool: Pool) -> None:
    async with pool.acquire() as one, pool.acquire() as other:
        for each in (one, other):
            await each.execute("SET ROLE NONE")
        await one.execute("SET deadlock_timeout = '10ms'; BEGIN; SELECT pg_advisory_xact_lock(1)")
        await other.execute("SET deadlock_timeout = '1h'; BEGIN; SELECT pg_advisory_xact_lock(2)")
        waiting = asyncio.create_task(other.execute("SELECT pg_advisory_xact_lock(1)"))
        assert unavailable(await error_of(one, "SELECT pg_advisory_xact_lock(2)"))
        await one.execute("ROLLBACK")
        await waiting
        await other.execute("ROLLBACK")


async def test_a_connection_that_was_ended_under_us_is_unavailable(pool: Pool) -> None:
    async with pool.acquire() as one, pool.acquire() as other:
        ended = asyncio.create_task(error_of(one, "SELECT pg_sleep(60)"))
        await other.execute("SET ROLE NONE")
        await other.execute("SELECT pg_terminate_backend($1)", one.get_server_pid())
        assert unavailable(await ended)
        assert unavailable(await error_of(one, "SELECT 1"))


def test_a_driver_that_lost_track_of_its_connection_is_unavailable() -> None:
    # Seen when the server ends a connection between the two halves of a statement.
    assert unavailable(asyncpg.InternalClientError("cannot switch to state 11"))


def test_a_server_that_was_killed_is_unavailable() -> None:
    async def kill_under_a_statement(url: str) -> list[Exception]:
        async with await connect(url, size=2) as pool, pool.acquire() as conn:
            running_statement = asyncio.create_task(error_of(conn, "SELECT pg_sleep(60)"))
            async with pool.acquire() as other:
                data = Path(await other.fetchval("SHOW data_directory"))
                postmaster = int((data / "postmaster.pid").read_text().splitlines()[0])
                os.kill(postmaster, signal.SIGQUIT)
                first = await running_statement
                return [first, await error_of(conn, "SELECT 1"), await error_of(other, "SELECT 1")]

    with (
        server_directory() as path,
        running(EmbeddedServers.use(path, want_store=False)) as servers,
    ):
        errors = asyncio.run(kill_under_a_statement(servers.database_url))
    assert all(unavailable(error) for error in errors), errors


def test_a_server_that_has_frozen_is_unavailable_in_time() -> None:
    """Not even the connection can be given back: whoever waited for it goes on all the same."""

    async def freeze_under_a_statement(url: str) -> None:
        pool = await connect(url, size=2)

        async def ask() -> int:
            async with pool.acquire() as conn:
                return await conn.fetchval("SELECT 1")

        async with pool.acquire() as conn:
            backend = conn.get_server_pid()
        with frozen(backend), pytest.raises(DatabaseUnavailable, match="does not answer within"):
            async with asyncio.timeout(3):
                await within(0.2, ask())
        assert await within(5, ask()) == 1
        await pool.close()

    with (
        server_directory() as path,
        running(EmbeddedServers.use(path, want_store=False)) as servers,
    ):
        asyncio.run(freeze_under_a_statement(servers.database_url))


async def test_what_fails_in_time_fails_as_it_did(pool: Pool) -> None:
    async def ask() -> int:
        async with pool.acquire() as conn:
            return await conn.fetchval("SELECT 1/0")

    with pytest.raises(asyncpg.DivisionByZeroError):
        await within(5, ask())


async def test_a_misuse_of_the_driver_is_not_called_unavailable(conn: Connection) -> None:
    sleeping = asyncio.create_task(conn.execute("SELECT pg_sleep(0.1)"))
    await asyncio.sleep(0)
    error = await error_of(conn, "SELECT 1")
    assert isinstance(error, asyncpg.InterfaceError)
    assert not unavailable(error)
    await sleeping


async def test_the_schema_version_is_that_of_the_migrations(
    conn: Connection, database_server: DatabaseServer
) -> None:
    assert await schema_version(conn) == runner.HEAD
    empty = await asyncpg.connect(database_server.admin_url)
    assert await schema_version(empty) is None
    await empty.close()


@pytest.fixture
def owner(database_server: DatabaseServer) -> Iterator[str]:
    """A role that owns an empty database of its own, and may do nothing else."""
    name = f"owner_{secrets.token_hex(4)}"
    database_server.execute(f"CREATE ROLE {name} LOGIN")
    database_server.execute(f"CREATE DATABASE {name} OWNER {name}")
    yield name
    database_server.execute(f"DROP DATABASE {name} WITH (FORCE)")
    database_server.execute(f"DROP ROLE {name}")


def as_user(server: DatabaseServer, user: str, database: str) -> str:
    return server.url(database).replace("//ratewire@", f"//{user}@")


CHANGES = [
    f"{change} {table}"
    for table in ("billing_transactions", "ledger_postings")
    for change in ("DELETE FROM", "TRUNCATE", "ALTER TABLE")
]


@pytest.mark.usefixtures("database_template")  # which has made the role, for all databases
async def test_no_connection_of_ours_can_change_the_ledger_of_an_operators_own_database(
    database_server: DatabaseServer, owner: str
) -> None:
    """Neither its owner's, nor that of a user who is no more than the application."""
    url = as_user(database_server, owner, owner)
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="GRANT ratewire_application TO"):
        await runner.migrate(url)
    database_server.execute(f"GRANT {APPLICATION_ROLE} TO {owner}")
    await runner.migrate(url)
    clerk = f"clerk_{owner}"
    database_server.execute(f"CREATE ROLE {clerk} LOGIN IN ROLE {APPLICATION_ROLE}")
    try:
        for user in (owner, clerk):
            async with (
                await connect(as_user(database_server, user, owner), size=1) as pool,
                pool.acquire() as conn,
            ):
                assert not await may_change_the_ledger(conn)
                for change in [*CHANGES, "UPDATE billing_transactions SET actor = 'eve'"]:
                    statement = f"{change} ADD x int" if change.startswith("ALTER") else change
                    error = await error_of(conn, statement)
                    assert isinstance(error, asyncpg.InsufficientPrivilegeError)
                await partitions.ensure(conn, datetime(2031, 1, 1, tzinfo=UTC), ahead=0)
                await conn.execute("DELETE FROM customers")
    finally:
        database_server.execute(f"DROP ROLE {clerk}")
