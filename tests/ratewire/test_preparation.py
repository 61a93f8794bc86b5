"""What is ready, and what is said, when processes start beside servers that are not as hoped."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from billing.accounts import register as accounts
from billing.accounts.money import top_up
from billing.rebuild.run import rebuild
from config.settings import DataSettings, Settings
from ratewire.preparation import NotPrepared, prepare, prepare_reading
from ratewire.wiring import PARTITION, System, Urls, now
from tests.balances.server import serving, valkey_program
from tests.support.servers import database_server, database_template, database_url, migrate

__all__ = ["database_server", "database_template", "database_url", "migrate"]


@pytest.fixture
async def system(tmp_path: Path, database_url: str) -> AsyncIterator[System]:
    """A system that is prepared and has one account with money, on servers of its own."""
    with serving(valkey_program(), tmp_path) as server:
        wired = System(
            Settings(data=DataSettings(dir=str(tmp_path))), Urls(server.url, database_url)
        )
        try:
            await prepare(wired, migrate=True)
            await post(wired, first=True)
            await (await wired.relay()).drain()
            yield wired
        finally:
            await wired.close()


async def post(system: System, *, first: bool = False) -> None:
    """Post 5 micros for the account, which is opened if it is the first time."""
    async with (await system.pool()).acquire() as conn:
        if first:
            await accounts.create(conn, "alice", "EUR", now=now())
        await top_up(conn, "alice", 5, actor="test", now=now())


async def balance(system: System) -> int | None:
    [account] = await system.store.accounts(["alice"])
    return None if account is None else account.balance


async def test_lost_books_can_be_rebuilt_although_a_movement_waits(system: System) -> None:
    await post(system)
    await system.connection.command("FLUSHALL")
    await prepare(system, migrate=False)
    assert await balance(system) is None
    await rebuild(
        await system.pool(),
        system.stream,
        system.stream,
        system.restoration,
        partition=PARTITION,
        interval_seconds=300,
        quiet_seconds=900,
    )
    assert await balance(system) == 10


async def test_behind_the_fence_movements_wait(system: System) -> None:
    await post(system)
    await system.stream.fence("an earlier rebuild was killed")
    await prepare(system, migrate=False)
    assert await balance(system) == 5
    await system.stream.fence("")
    await prepare(system, migrate=False)
    assert await balance(system) == 10


async def test_a_full_store_keeps_nobody_from_starting(system: System) -> None:
    """Settlement is what makes room."""
    await post(system)
    await system.connection.command("CONFIG", "SET", "maxmemory", "1")
    await prepare(system, migrate=False)
    assert await balance(system) == 5


async def test_a_store_that_is_not_there_is_named_without_its_password(tmp_path: Path) -> None:
    url = "redis://ratewire:hidden@127.0.0.1:1/0"
    system = System(Settings(data=DataSettings(dir=str(tmp_path))), Urls(url, "postgresql://h/d"))
    with pytest.raises(NotPrepared, match=r"127\.0\.0\.1:1") as refused:
        await prepare(system, migrate=False)
    assert "hidden" not in str(refused.value)
    await system.close()


async def test_what_only_reads_the_database_needs_no_store(
    tmp_path: Path, database_url: str
) -> None:
    settings = Settings(data=DataSettings(dir=str(tmp_path)))
    system = System(settings, Urls("redis://127.0.0.1:1/0", database_url))
    with pytest.raises(NotPrepared, match=r"schema is at nothing.*run 'ratewire migrate'"):
        await prepare_reading(system, migrate=False)
    await prepare_reading(system, migrate=True)
    await prepare_reading(system, migrate=False)
    await system.close()
