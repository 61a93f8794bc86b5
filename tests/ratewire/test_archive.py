"""Sessions that only Postgres knows, and a Postgres that does not answer."""

import asyncio
import time
from pathlib import Path

import pytest

from balances.connection import Connection
from config.settings import DataSettings, Settings
from ratewire import archive as archive_module
from ratewire.archive import Archive
from ratewire.pipeline.intake import ArchiveUnavailable
from ratewire.wiring import System, Urls
from tests.ratewire.office import Office
from tests.ratewire.provider import INTERIM, NAS, START
from tests.ratewire.today import today
from tests.support.frozen import frozen

MB = 1_000_000
KEY = f"{NAS}|s1"


async def settled(system: System) -> None:
    settler = await system.settler()
    while await settler.settle_once(100):
        pass


async def test_a_session_goes_on_where_it_was_settled(
    system: System, office: Office, connection: Connection
) -> None:
    """Its Interim comes after the store has forgotten it: charged is what is new, once."""
    await office.subscribe(5 * MB)
    provider = today(connection)
    worker = provider.worker(archive=Archive(system))
    assert await provider.say(provider.report(START), to=worker) == [True]
    provider.world.pass_ms(60_000)
    assert await provider.say(provider.report(INTERIM, 60, 0, 100 * MB), to=worker) == [True]
    known = await provider.session()
    await settled(system)

    found = await Archive(system).find([KEY, f"{NAS}|never"])
    assert list(found) == [KEY]
    assert (found[KEY].uid, found[KEY].account) == (known.uid, "acme")
    assert (found[KEY].version, found[KEY].open, found[KEY].held) == (0, True, 0)

    await connection.command("DEL", f"rw:{{0}}:s:{KEY}")
    provider.world.pass_ms(60_000)
    assert await provider.say(provider.report(INTERIM, 120, 0, 150 * MB), to=worker) == [True]
    assert (await provider.session()).uid == known.uid
    assert (await provider.money())[0] == 5 * MB - 300_000


async def test_a_postgres_that_is_away_is_unavailable(store_url: str, tmp_path: Path) -> None:
    system = System(
        Settings(data=DataSettings(dir=str(tmp_path))),
        Urls(store_url, f"postgresql://nobody@/nothing?host={tmp_path}"),
    )
    with pytest.raises(ArchiveUnavailable, match="no connection"):
        await Archive(system).find([KEY])
    await system.close()


async def test_a_frozen_postgres_delays_a_batch_once_and_no_longer_than_its_patience(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others of the batch do not need it; and the next batches do not even ask."""
    monkeypatch.setattr(archive_module, "PATIENCE_S", 0.3)
    archive = Archive(system)
    assert await archive.find([KEY]) == {}
    pool = await system.pool()
    async with pool.acquire() as conn:
        backend = conn.get_server_pid()
    with frozen(backend):
        began = time.monotonic()
        with pytest.raises(ArchiveUnavailable, match="does not answer"):
            await archive.find([KEY])
        assert 0.3 <= time.monotonic() - began < 2
        began = time.monotonic()
        with pytest.raises(ArchiveUnavailable, match="a moment ago"):
            await archive.find([KEY])
        assert time.monotonic() - began < 0.1
    await asyncio.sleep(0.3)
    assert await archive.find([KEY]) == {}


async def test_a_fault_of_ours_is_not_called_unavailable(system: System) -> None:
    pool = await system.pool()
    async with pool.acquire() as conn:
        await conn.execute("SET ROLE NONE")
        await conn.execute("ALTER TABLE accounting_sessions RENAME TO elsewhere")
    with pytest.raises(Exception, match="does not exist"):
        await Archive(system).find([KEY])
