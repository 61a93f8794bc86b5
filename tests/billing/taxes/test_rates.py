"""The rates in Postgres."""

from datetime import date, datetime
from pathlib import Path

import msgspec
import pytest

from billing.database import Connection
from billing.errors import InvalidInput, NotFound
from billing.taxes import rates
from billing.taxes.rate import TaxRate
from billing.taxes.ratefile import read_rates

SAMPLES = Path(__file__).parents[3] / "config" / "samples" / "taxes.toml"
RATE = TaxRate("DE", "standard", "VAT", date(2021, 1, 1), 190_000)


async def test_rates_come_back_as_they_were_put(conn: Connection, now: datetime) -> None:
    samples = read_rates(SAMPLES)
    loaded = await rates.put(conn, samples, now)
    assert all(each.changed for each in loaded)
    assert sorted(await rates.list_(conn)) == sorted(samples)
    assert {rate.jurisdiction for rate in await rates.list_(conn, "DE")} == {"DE"}


async def test_putting_tells_what_changed(conn: Connection, now: datetime) -> None:
    assert await rates.put(conn, [], now) == []
    await rates.put(conn, [RATE], now)
    later = msgspec.structs.replace(RATE, valid_from=date(2027, 1, 1), ppm=200_000)
    loaded = await rates.put(conn, [RATE, later], now)
    assert [each.changed for each in loaded] == [False, True]
    corrected = msgspec.structs.replace(later, ppm=210_000)
    [again] = await rates.put(conn, [corrected], now)
    assert again.changed
    assert await rates.list_(conn) == [RATE, corrected]


async def test_a_faulty_rate_is_refused_and_none_is_kept(conn: Connection, now: datetime) -> None:
    with pytest.raises(InvalidInput, match="jurisdiction is 'x'"):
        await rates.put(conn, [RATE, msgspec.structs.replace(RATE, jurisdiction="x")], now)
    assert await rates.list_(conn) == []


async def test_a_rate_can_be_removed_once(conn: Connection, now: datetime) -> None:
    await rates.put(conn, [RATE], now)
    await rates.remove(conn, "DE", "standard", "VAT", date(2021, 1, 1))
    with pytest.raises(NotFound, match="no rate of VAT in DE for standard from 2021-01-01"):
        await rates.remove(conn, "DE", "standard", "VAT", date(2021, 1, 1))
