"""From settings to connected parts, and how they are let go."""

import asyncio
import time
from pathlib import Path

import pytest

from billing.database import DatabaseUnavailable, within
from config.settings import (
    DatabaseSettings,
    DataSettings,
    SessionsSettings,
    Settings,
    StoreSettings,
)
from ratewire import wiring
from ratewire.pipeline.steps import Terms
from ratewire.wiring import System, Urls, servers
from tests.support.frozen import frozen
from tests.support.servers import server_directory


async def test_servers_that_are_configured_are_used_as_they_are(tmp_path: Path) -> None:
    settings = Settings(
        store=StoreSettings(url="redis://store.example"),
        database=DatabaseSettings(url="postgresql://rw@db.example/rw"),
        data=DataSettings(dir=str(tmp_path / "untouched")),
    )
    async with servers(settings) as (urls, embedded):
        assert urls == Urls("redis://store.example", "postgresql://rw@db.example/rw")
        assert embedded is None
    assert not (tmp_path / "untouched").exists()


def test_only_the_server_that_is_missing_is_embedded() -> None:
    async def use(directory: Path) -> None:
        settings = Settings(
            database=DatabaseSettings(url="postgresql://rw@db.example/rw"),
            data=DataSettings(dir=str(directory)),
        )
        async with servers(settings) as (urls, embedded):
            assert embedded is not None
            assert [server.name for server in embedded.status] == ["valkey"]
            assert urls.database == "postgresql://rw@db.example/rw"
            system = System(settings, urls)
            assert await system.connection.command("PING") == b"PONG"
            await system.close()

    with server_directory() as directory:
        asyncio.run(use(directory))


def test_the_terms_are_those_of_the_settings(store_url: str) -> None:
    made = Settings(
        sessions=SessionsSettings(stale_factor=4, default_interim_seconds=120, late_window_days=2)
    )
    system = System(made, Urls(store_url, "postgresql://rw@db.example/rw"))
    assert system.terms == Terms(interim=120, stale_factor=4, late_window=2 * 86_400)


async def test_whoever_needs_the_database_at_once_shares_one_pool(system: System) -> None:
    pools = await asyncio.gather(*(system.pool() for _ in range(5)))
    assert len({id(pool) for pool in pools}) == 1


async def test_the_key_file_is_made_once(system: System, settings: Settings) -> None:
    sealed = system.keyring.seal(b"x", "test")
    assert System(settings, system.urls).keyring.unseal(sealed, "test") == b"x"


async def test_a_frozen_database_does_not_keep_a_process_from_ending(
    store_url: str, database_url: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wiring, "CLOSE_S", 0.2)
    system = System(settings, Urls(store_url, database_url))
    pool = await system.pool()

    async def ask() -> int:
        async with pool.acquire() as conn:
            return await conn.fetchval("SELECT pg_backend_pid()")

    backend = await ask()
    with frozen(backend):
        with pytest.raises(DatabaseUnavailable):
            await within(0.1, ask())
        began = time.monotonic()
        await system.close()
        assert time.monotonic() - began < 2
