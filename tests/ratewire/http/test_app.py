"""The API: who may see it, what it lists, and what it says when something is wrong."""

import asyncio
import itertools
from pathlib import Path

import pytest

from balances.connection import Connection
from billing.tokens import register as tokens
from billing.tokens.register import Role
from ratewire.http import app
from ratewire.wiring import System, now
from tests.ratewire.apart import apart
from tests.ratewire.http.conftest import Client, client_of, problem
from tests.ratewire.office import Office
from tests.ratewire.provider import START
from tests.ratewire.today import today
from tests.support.frozen import frozen

MB = 1_000_000
PATHS = ("/api/v1/sessions", "/api/v1/enforcement-jobs")


async def bearer(system: System, role: Role = Role.READ_ONLY) -> dict[str, str]:
    """The header of who holds a token."""
    async with (await system.pool()).acquire() as conn:
        return {"Authorization": f"Bearer {await tokens.create(conn, role, now())}"}


async def test_without_a_token_nobody_sees_anything(client: Client) -> None:
    headers = ("", "Bearer", "Bearer ", "Bearer nonsense", "Basic dXNlcjpwYXNz", "Bearer \udcff")
    for path, header in itertools.product((*PATHS, "/api/v1/nothing", "/api/"), headers):
        async with client.get(path, headers={"Authorization": header}) as response:
            assert response.status == 401, (path, header)
            assert response.headers["WWW-Authenticate"] == "Bearer"
            assert response.content_type == "application/problem+json"
            assert "ratewire token create" in (await response.json())["detail"]


async def test_every_role_may_read(client: Client, system: System) -> None:
    for role, path in itertools.product(Role, PATHS):
        headers = await bearer(system, role)
        async with client.get(path, headers=headers) as response:
            assert (response.status, await response.json()) == (200, {"data": []})


async def test_a_token_that_was_revoked_is_none(client: Client, system: System) -> None:
    headers = await bearer(system)
    async with (await system.pool()).acquire() as conn:
        await tokens.revoke(conn, headers["Authorization"].split()[1], now())
    assert (await problem(client, PATHS[0], headers=headers))["status"] == 401


async def test_it_lists_what_is_there(
    client: Client, system: System, office: Office, connection: Connection
) -> None:
    await office.subscribe(0)
    await office.subscribe(5 * MB, user="eve", account="evil")
    provider = today(connection)
    await provider.told(START, session="bob's")
    await provider.told(START, session="eve's", user="eve")
    headers = await bearer(system)

    async def listed(path: str, **query: str) -> list[str]:
        async with client.get(path, headers=headers, params=query) as response:
            assert response.content_type == "application/json"
            return sorted(each["acct_session_id"] for each in (await response.json())["data"])

    assert await listed(PATHS[0]) == ["bob's", "eve's"]
    assert await listed(PATHS[0], user="eve") == ["eve's"]
    assert await listed(PATHS[1]) == ["bob's"]


async def test_what_is_not_there_is_a_problem(client: Client, system: System) -> None:
    headers = await bearer(system)
    assert (await problem(client, "/api/v1/nothing", headers=headers))["status"] == 404
    assert (await problem(client, "/nothing"))["title"] == "Not Found"
    async with client.post("/healthz") as response:
        assert response.status == 405
        assert response.headers["Allow"] == "GET,HEAD"
        assert response.content_type == "application/problem+json"


async def test_without_the_store_the_api_says_so(
    system: System, office: Office, tmp_path: Path
) -> None:
    headers = await bearer(system)
    async with apart(system, tmp_path) as (second, _, database), client_of(second) as client:
        await database.open()
        for path in PATHS:
            said = await problem(client, path, headers=headers)
            assert (said["status"], said["title"]) == (503, "The store is not available")


async def test_without_the_database_the_api_says_so_and_goes_on_when_it_is_back(
    system: System, office: Office, tmp_path: Path
) -> None:
    headers = await bearer(system)
    async with apart(system, tmp_path) as (second, store, database), client_of(second) as client:
        await store.open()
        for _ in range(2):
            said = await problem(client, PATHS[0], headers=headers)
            assert (said["status"], said["title"]) == (503, "The database is not available")
            await database.open()
            async with client.get(PATHS[0], headers=headers) as response:
                assert response.status == 200
            await database.close()


async def test_a_frozen_database_is_a_problem_in_time(
    client: Client, system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "PATIENCE_S", 0.2)
    headers = await bearer(system)
    async with (await system.pool()).acquire() as conn:
        backend = conn.get_server_pid()
    with frozen(backend):
        async with asyncio.timeout(3):
            said = await problem(client, PATHS[0], headers=headers)
        assert (said["status"], said["title"]) == (503, "The database is not available")


async def test_a_fault_of_ours_tells_no_more_than_that(client: Client, system: System) -> None:
    headers = await bearer(system)
    async with (await system.pool()).acquire() as conn:
        await conn.execute("SET ROLE NONE")
        await conn.execute("ALTER TABLE api_tokens RENAME TO elsewhere")
    said = await problem(client, PATHS[0], headers=headers)
    assert (said["status"], said["detail"]) == (500, "It is logged under its request id.")
