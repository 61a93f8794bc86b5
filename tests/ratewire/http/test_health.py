"""Alive, and ready: every part that the main job needs has to say so."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from balances.connection import Connection
from balances.health import SILENCE_MS, Beat
from config.settings import Settings
from ratewire.http import health
from ratewire.journal.slots import claim
from ratewire.wiring import System, Urls, now_ms
from tests.ratewire.apart import apart
from tests.ratewire.http.conftest import Client, client_of
from tests.ratewire.journal.test_segments import entry
from tests.ratewire.office import Office
from tests.support.frozen import frozen

PARTS = {"store", "database", "listener", "settlement", "enforcer"}


async def beat(system: System, name: str, **changes: Any) -> None:
    await system.heartbeats.beat(made(name, **changes))


def made(name: str, **changes: Any) -> Beat:
    fields: dict[str, Any] = {"pid": 1, "host": "here", "at_ms": now_ms(), "ok": True} | changes
    return Beat(name=name, **fields)


async def all_beat(system: System) -> None:
    for name in ("listener-0", "listener-1", "settlement", "enforcer-0"):
        await beat(system, name)


async def asked(client: Client) -> tuple[int, dict[str, str]]:
    async with client.get("/readyz") as response:
        document = await response.json()
        assert document["ready"] is (response.status == 200)
        return response.status, document["checks"]


async def test_the_process_answers_whatever_is_away(settings: Settings, tmp_path: Path) -> None:
    nowhere = Urls(f"unix://{tmp_path / 's'}", f"postgresql://x@/x?host={tmp_path}")
    system = System(settings, nowhere)
    async with client_of(system) as client, client.get("/healthz") as response:
        assert (response.status, await response.json()) == (200, {"status": "ok"})
    await system.close()


async def test_it_is_ready_when_every_part_works(client: Client, system: System) -> None:
    status, checks = await asked(client)
    assert status == 503
    assert checks["listener"] == "no such process is running"
    await all_beat(system)
    status, checks = await asked(client)
    assert (status, set(checks.values())) == (200, {"ok"})
    assert set(checks) >= PARTS


async def test_a_part_that_is_silent_is_dead(client: Client, system: System) -> None:
    await all_beat(system)
    await beat(system, "enforcer-0", at_ms=now_ms() - SILENCE_MS - 1)
    status, checks = await asked(client)
    assert (status, checks["enforcer"]) == (503, "no such process is running")
    await system.heartbeats.gone(made("settlement"))
    assert (await asked(client))[1]["settlement"] == "no such process is running"


async def test_a_part_that_does_not_work_says_why(client: Client, system: System) -> None:
    await all_beat(system)
    await beat(system, "listener-0", host="there", ok=False, detail="deaf")
    await beat(system, "settlement", ok=False, detail="a gap")
    status, checks = await asked(client)
    assert (status, checks["listener"], checks["settlement"]) == (
        503,
        "listener-0: deaf",
        "settlement: a gap",
    )


async def test_what_waits_in_the_local_journal_is_not_in_the_books(
    client: Client, system: System
) -> None:
    await all_beat(system)
    slot = claim(system.settings.journal_path(), 0, max_octets=1000, now_ms=now_ms)
    slot.waiting.append([entry(0)])
    status, checks = await asked(client)
    assert status == 503
    assert checks["journal"].startswith("journaling since 20")
    assert [name for name, said in checks.items() if said != "ok"] == ["journal"]
    found = slot.waiting.oldest()
    assert found is not None
    slot.waiting.remove(found[0], damaged=False)
    assert (await asked(client))[0] == 200


async def test_books_that_are_fenced_or_lost_are_not_ready(
    client: Client, system: System, connection: Connection
) -> None:
    await all_beat(system)
    await system.stream.fence("the balances are being rebuilt")
    status, checks = await asked(client)
    assert (status, checks["store"]) == (503, "fenced: the balances are being rebuilt")
    await connection.command("FLUSHALL")
    status, checks = await asked(client)
    assert (status, checks["store"]) == (503, "the store holds no books")


async def test_without_its_servers_it_is_not_ready_and_says_which(
    system: System, office: Office, tmp_path: Path
) -> None:
    await all_beat(system)
    async with apart(system, tmp_path) as (second, store, database), client_of(second) as client:
        status, checks = await asked(client)
        assert status == 503
        assert "connecting to" in checks["store"]
        assert "no connection to the database" in checks["database"]
        await store.open()
        await database.open()
        assert (await asked(client))[0] == 200
        await database.close()
        status, checks = await asked(client)
        assert (status, checks["store"]) == (503, "ok")
        assert checks["database"] not in ("ok", "")


async def test_a_frozen_database_is_told_in_time(
    client: Client, system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "PATIENCE_S", 0.2)
    await all_beat(system)
    async with (await system.pool()).acquire() as conn:
        backend = conn.get_server_pid()
    with frozen(backend):
        async with asyncio.timeout(3):
            status, checks = await asked(client)
        assert status == 503
        assert "does not answer" in checks["database"]
