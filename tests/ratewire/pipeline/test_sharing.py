"""Allowances, bands and maxima through the whole pipeline, on both stores."""

import asyncio

import pytest

from balances.entries import Noticed, Pooled, Used
from balances.messages import GrantAllowance, SetCalendar, decode_state
from ratewire.pipeline.sharing import service_of
from rating.allowance import NEVER, Allowance, Bucket, Unit
from rating.plan import Plan
from rating.pool import decode_pool
from rating.tariff import AtMaximum, Counter, Rule, Service, Tariff
from rating.threshold import Threshold
from tests.ratewire.provider import INTERIM, START, STOP, Provider
from tests.ratewire.records import METERED
from tests.ratewire.stores import Meeting

MB = 1_000_000
GB = 1000 * MB
BUNDLE = Plan(
    "bundle",
    1,
    METERED.tariff,
    allowances=(Allowance("data", Unit.OCTETS, GB),),
    thresholds=(Threshold("data", percent=50), Threshold("data", units=0)),
)


@pytest.fixture
async def provider(any_provider: Provider) -> Provider:
    capped = Tariff(
        "EUR",
        (Rule(Counter.SECONDS, 10_000),),
        maximum_micros=300_000,
        at_maximum=AtMaximum.CUT,
    )
    await any_provider.publish(METERED, BUNDLE, Plan("capped", 1, capped))
    return any_provider


async def left(provider: Provider) -> list[int]:
    value = (await provider.world.hot.accounts(["acme"]))[0]
    assert value is not None
    assert value.pool is not None
    return [bucket.left for bucket in decode_pool(value.pool).buckets]


async def test_an_allowance_is_used_before_money(provider: Provider) -> None:
    await provider.subscribe(5 * MB, plan="bundle")
    await provider.told(START)
    provider.world.pass_ms(60_000)
    await provider.told(INTERIM, 60, 0, 600 * MB)
    # Ahead are 750 MB by its pace, and 10 MB of upload; 400 MB of them are the allowance's.
    assert await provider.money() == (5 * MB, 720_000)
    assert await left(provider) == [400 * MB]
    provider.world.pass_ms(60_000)
    await provider.told(STOP, 120, 0, 1100 * MB)
    assert await provider.money() == (5 * MB - 200_000, 0)
    used = [entry for entry in await provider.entries() if isinstance(entry, Used)]
    for entry in used:
        assert sum(line.amount_micros for line in entry.lines) == entry.charge_micros
    pools = [entry for entry in await provider.entries() if isinstance(entry, Pooled)]
    assert decode_pool(pools[-1].pool).buckets[0].left == 0


async def test_a_threshold_is_noticed_with_the_charge_that_crosses_it(provider: Provider) -> None:
    await provider.subscribe(50 * MB, plan="bundle")
    await provider.told(START)
    for minute, used in enumerate((400, 499, 600, 700, 1100, 1200), 1):
        provider.world.pass_ms(60_000)
        await provider.told(INTERIM, 60 * minute, 0, used * MB)
    noticed = [entry for entry in await provider.entries() if isinstance(entry, Noticed)]
    assert [(entry.username, entry.plan) for entry in noticed] == [("bob", "bundle")] * 2
    told = [(each.at, each.left) for entry in noticed for each in entry.crossings]
    assert told == [(500 * MB, 400 * MB), (0, 0)]


async def test_two_workers_never_use_an_allowance_twice(provider: Provider) -> None:
    await provider.subscribe(50 * MB, plan="bundle")
    for name in ("s1", "s2"):
        await provider.told(START, session=name)
    provider.world.pass_ms(60_000)
    meeting = Meeting(provider.world.hot, 2)
    both = [
        provider.say(
            provider.report(INTERIM, 60, 0, 700 * MB, session=name), to=provider.worker(meeting)
        )
        for name in ("s1", "s2")
    ]
    assert await asyncio.gather(*both) == [[True], [True]]
    assert provider.observer.counts["commit_stale_rating"] >= 1
    assert await left(provider) == [0]
    # 1.4 GB were used, 1 GB of it was the allowance's.
    assert (await provider.money())[0] == 50 * MB - 800_000


async def test_two_sessions_of_one_batch_draw_one_after_the_other(provider: Provider) -> None:
    await provider.subscribe(50 * MB, plan="bundle")
    for name in ("s1", "s2"):
        await provider.told(START, session=name)
    provider.world.pass_ms(60_000)
    records = [provider.report(INTERIM, 60, 0, 700 * MB, session=name) for name in ("s1", "s2")]
    assert await provider.say(*records) == [True, True]
    assert provider.observer.counts["commit_stale_rating"] == 0
    assert await left(provider) == [0]
    assert (await provider.money())[0] == 50 * MB - 800_000


async def test_a_granted_bucket_serves_a_plan_without_allowances(provider: Provider) -> None:
    await provider.subscribe(5 * MB)
    await provider.told(START)
    bucket = Bucket("extra", Unit.OCTETS, GB, GB, 1, 0, NEVER, source="topup")
    await provider.world.move(lambda at: GrantAllowance("acme", at, bucket), "acme")
    provider.world.pass_ms(60_000)
    await provider.told(INTERIM, 60, 0, 600 * MB)
    assert (await provider.money())[0] == 5 * MB
    assert await left(provider) == [400 * MB]


async def test_an_accounts_zone_is_kept_with_its_pool(provider: Provider) -> None:
    await provider.subscribe(5 * MB, plan="bundle")
    await provider.world.move(lambda at: SetCalendar("acme", at, "Asia/Kathmandu", 8), "acme")
    await provider.told(START)
    provider.world.pass_ms(60_000)
    await provider.told(INTERIM, 60, 0, MB)
    (value,) = await provider.world.hot.accounts(["acme"])
    assert value is not None
    assert value.pool is not None
    pool = decode_pool(value.pool)
    assert (pool.zone, pool.billing_day, len(pool.buckets)) == ("Asia/Kathmandu", 8, 1)


async def test_a_session_at_its_maximum_is_cut_whatever_the_credit(provider: Provider) -> None:
    await provider.subscribe(5 * MB, plan="capped")
    await provider.told(START)
    provider.world.pass_ms(60_000)
    await provider.told(INTERIM, 60, 0, 0)
    assert (await provider.money())[0] == 5 * MB - 300_000
    (job,) = await provider.jobs()
    assert job.cause == "exhausted"
    await provider.world.top_up(MB, "acme")
    assert len(await provider.jobs()) == 1
    tally = decode_state((await provider.session()).state).tally
    assert tally is not None
    assert tally.money_micros == 600_000


def test_a_service_is_known_by_realm_and_nas() -> None:
    tariff = Tariff(
        "EUR", (), services=(Service("wifi", {"realm": ("wifi.*",), "nas": ("*bras",)}),)
    )
    plan = Plan("p", 1, tariff)
    assert service_of(plan, "pop1/bras", "amy@WIFI.example", {}, ()) == "wifi"
    assert service_of(plan, "pop1/bras", "amy", {}, ()) == ""
    assert service_of(METERED, "pop1/bras", "amy@wifi.x", {}, ()) == ""
