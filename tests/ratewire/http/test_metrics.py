"""The figures of /metrics: those of the books are read when they are asked for."""

from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from balances.connection import Connection
from config.settings import Settings
from ratewire.wiring import System, Urls
from tests.ratewire.http.conftest import Client, client_of
from tests.ratewire.office import Office
from tests.ratewire.provider import INTERIM, START
from tests.ratewire.today import today

MB = 1_000_000


async def scraped(client: Client) -> dict[str, float]:
    """The samples of Ratewire, by name and labels."""
    async with client.get("/metrics") as response:
        assert response.status == 200
        assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        families = list(text_string_to_metric_families(await response.text()))
    return {
        " ".join((sample.name, *sample.labels.values())): sample.value
        for family in families
        for sample in family.samples
    }


async def test_the_books_are_told(
    client: Client, system: System, office: Office, connection: Connection
) -> None:
    await office.subscribe(5 * MB)
    await office.subscribe(0, user="eve", account="evil")
    provider = today(connection)
    await provider.told(START, session="s1")
    await provider.told(START, session="s2", user="eve")
    provider.world.pass_ms(60_000)
    await provider.told(INTERIM, 60, 0, 100 * MB, session="s1")
    held = (await provider.session("s1")).held
    found = await scraped(client)
    expected = {
        "ratewire_store_up": 1,
        "ratewire_fenced": 0,
        "ratewire_open_sessions": 2,
        "ratewire_accounts": 2,
        "ratewire_settlement_lag_entries": 3,
        "ratewire_enforcement_jobs scheduled": 1,
        "ratewire_enforcement_jobs acknowledged": 0,
        "ratewire_balance_micros EUR": 5 * MB - 200_000,
        "ratewire_reserved_micros EUR": held,
        "ratewire_limit_micros EUR": 0,
        "ratewire_available_micros EUR": 5 * MB - 200_000 - held,
    }
    assert {name: found.get(name) for name in expected} == expected
    assert 0 <= found["ratewire_settlement_lag_seconds"] < 60
    assert found["ratewire_store_used_octets"] > MB
    assert found["ratewire_store_bound_octets"] == 512 * 1024 * 1024
    settler = await system.settler()
    while await settler.settle_once(10):
        pass
    found = await scraped(client)
    assert found["ratewire_settlement_lag_entries"] == 0
    assert found["ratewire_settlement_lag_seconds"] == 0


async def test_a_fence_is_told(client: Client, system: System) -> None:
    await system.stream.fence("the balances are being rebuilt")
    assert (await scraped(client))["ratewire_fenced"] == 1


@pytest.mark.parametrize("away", ["store", "database"])
async def test_what_cannot_be_asked_is_absent_and_the_rest_is_told(
    system: System, office: Office, settings: Settings, tmp_path: Path, away: str
) -> None:
    urls = {
        "store": Urls(f"unix://{tmp_path / 's'}", system.urls.database),
        "database": Urls(system.urls.store, f"postgresql://x@/x?host={tmp_path}"),
    }
    apart = System(settings, urls[away])
    async with client_of(apart) as client:
        found = await scraped(client)
    await apart.close()
    assert found["ratewire_store_up"] == (away == "database")
    assert ("ratewire_open_sessions" in found) == (away == "database")
    assert "ratewire_settlement_lag_entries" not in found
