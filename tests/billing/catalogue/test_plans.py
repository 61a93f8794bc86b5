"""The versions of plans: made when something changed, kept for ever, published all."""

import asyncio
from datetime import datetime

import msgspec
import pytest

from billing.catalogue import plans
from billing.catalogue.plans import LoadedPlan, load_plans
from billing.database import Connection, Pool
from billing.errors import Conflict
from rating.plan import Plan, Policy
from rating.tariff import Counter, Rule, Tariff

METERED = Plan(
    "metered", 1, Tariff("EUR", (Rule(Counter.OCTETS_TOTAL, 2_000_000, 10**9, 1000, 1000),))
)
DEARER = msgspec.structs.replace(METERED, policy=Policy.STRICT)
HOURLY = Plan("hourly", 1, Tariff("EUR", (Rule(Counter.SECONDS, 600_000, 3600),)))


async def revision(conn: Connection) -> int:
    return await conn.fetchval("SELECT revision FROM publications WHERE what = 'plans'")


def versions(published: dict[str, bytes]) -> dict[str, Plan]:
    return {name: msgspec.json.decode(text, type=Plan) for name, text in published.items()}


async def test_a_new_plan_is_its_first_version(conn: Connection, now: datetime) -> None:
    loaded = await load_plans(conn, [METERED, HOURLY], now)
    assert loaded == [LoadedPlan("metered", 1, changed=True), LoadedPlan("hourly", 1, changed=True)]
    assert await plans.list_(conn) == [HOURLY, METERED]
    assert await revision(conn) == 1


async def test_the_same_plan_changes_nothing(conn: Connection, now: datetime) -> None:
    await load_plans(conn, [METERED], now)
    again = msgspec.structs.replace(METERED, version=99)
    assert await load_plans(conn, [again], now) == [LoadedPlan("metered", 1, changed=False)]
    assert await revision(conn) == 1


async def test_another_plan_of_the_name_is_a_further_version(
    conn: Connection, now: datetime
) -> None:
    for plan in (METERED, DEARER, DEARER, METERED):
        await load_plans(conn, [plan], now)
    assert versions(await plans.published(conn)) == {
        "metered@1": METERED,
        "metered@2": msgspec.structs.replace(DEARER, version=2),
        "metered@3": msgspec.structs.replace(METERED, version=3),
    }
    assert await plans.list_(conn) == [msgspec.structs.replace(METERED, version=3)]
    assert await revision(conn) == 3


async def test_a_plan_keeps_its_currency_and_nothing_is_half_loaded(
    conn: Connection, now: datetime
) -> None:
    await load_plans(conn, [METERED], now)
    dollars = msgspec.structs.replace(
        METERED, tariff=msgspec.structs.replace(METERED.tariff, currency="USD")
    )
    with pytest.raises(Conflict, match=r"plan metered is in EUR.* a plan in USD"):
        await load_plans(conn, [HOURLY, dollars], now)
    assert await plans.list_(conn) == [METERED]
    assert await revision(conn) == 1


async def test_those_who_load_at_once_number_their_versions_one_after_the_other(
    pool: Pool, now: datetime
) -> None:
    async def load(octets: int) -> int:
        plan = msgspec.structs.replace(METERED, reserve_octets=octets)
        async with pool.acquire() as conn:
            [loaded] = await load_plans(conn, [plan], now)
        return loaded.version

    assert sorted(await asyncio.gather(*(load(octets) for octets in range(1, 7)))) == list(
        range(1, 7)
    )
