"""Limits in Accounting-Responses: to whom, which, and never at the price of an answer."""

from collections.abc import Sequence

import msgspec
import pytest

from balances.errors import StoreUnavailable
from balances.jobs import Action, Change
from balances.messages import Lookup, Snapshot
from radius.clients import ClientTable
from radius.encoding import encode
from radius.engine import Engine
from radius.profiles import builtin_profiles
from radius.records import AcctStatus
from ratewire.access.refills import Refills
from ratewire.pipeline.raters import PlanReader
from rating.access import Access
from tests.ratewire.provider import INTERIM, NAS, START, STOP, Provider, request_of
from tests.ratewire.records import METERED, record
from tests.ratewire.stores import Wrapped

PROFILES = builtin_profiles()
MB = 1_000_000
GB = 1000 * MB
FAST = msgspec.structs.replace(METERED, access=Access(rate_down_kbps=8000, rate_up_kbps=800))


@pytest.fixture
async def provider(any_provider: Provider) -> Provider:
    await any_provider.subscribe(2 * MB)
    return any_provider


async def answered(
    provider: Provider, vendor: str, kind: AcctStatus, *counters: int
) -> tuple[tuple[int, bytes], ...]:
    """What the answer to a record tells a NAS of this vendor."""
    refills = Refills(
        provider.intake.handle,
        provider.world.hot,
        provider.world.jobs,
        PlanReader(provider.world.directory),
        lambda _name: PROFILES[vendor],
    )
    request = request_of(provider.report(kind, *counters))
    [done] = await refills.handle([request])
    return done.attributes


async def test_the_quota_follows_the_credit(provider: Provider) -> None:
    total = encode("ChilliSpot-Max-Total-Octets", GB)
    assert total in await answered(provider, "coovachilli", START)
    provider.world.pass_ms(60_000)
    assert total in await answered(provider, "coovachilli", INTERIM, 60, 0, 100 * MB)
    await provider.world.top_up(2 * MB, "acme")
    told = await answered(provider, "coovachilli", INTERIM, 60, 0, 100 * MB)
    assert encode("ChilliSpot-Max-Total-Octets", 2 * GB) in told
    [remaining] = await answered(provider, "huawei", INTERIM, 60, 0, 100 * MB)
    assert remaining == encode("Huawei-Remanent-Volume", 1900 * MB // 1024)


async def test_others_and_ends_are_told_nothing(provider: Provider) -> None:
    assert await answered(provider, "mikrotik-ppp", START) == ()
    assert await answered(provider, "coovachilli", STOP, 5, 0, 0) == ()


async def test_who_is_to_be_cut_or_in_a_garden_is_told_nothing(provider: Provider) -> None:
    assert await answered(provider, "huawei", START)
    await provider.world.jobs.request_change(f"{NAS}|s1", Change(Action.REDIRECT, "portal"))
    assert await answered(provider, "huawei", INTERIM, 5, 0, MB) == ()
    await provider.world.jobs.request_change(f"{NAS}|s1", Change(Action.RESTORE))
    assert await answered(provider, "huawei", INTERIM, 6, 0, 2 * MB)
    await provider.world.status("acme", suspended=True)
    assert await answered(provider, "huawei", INTERIM, 7, 0, 3 * MB) == ()


async def test_a_nas_that_forgets_is_told_the_speed_that_holds(provider: Provider) -> None:
    await provider.publish(FAST)
    told = await answered(provider, "coovachilli", START)
    assert encode("WISPr-Bandwidth-Max-Down", 8_000_000) in told
    await provider.world.jobs.request_change(f"{NAS}|s1", Change(Action.THROTTLE, "64/32"))
    told = await answered(provider, "coovachilli", INTERIM, 5, 0, 0)
    assert encode("WISPr-Bandwidth-Max-Down", 64_000) in told


async def test_what_is_booked_is_answered_whatever_comes_of_it(provider: Provider) -> None:
    class Away(Wrapped):
        async def read(self, lookups: Sequence[Lookup]) -> Snapshot:
            raise StoreUnavailable(f"away for {len(lookups)}")

    refills = Refills(
        provider.intake.handle,
        Away(provider.world.hot),
        provider.world.jobs,
        PlanReader(provider.world.directory),
        lambda _name: PROFILES["coovachilli"],
    )
    [done] = await refills.handle([request_of(provider.report(START))])
    assert done.attributes == ()


def test_they_stand_in_the_answer() -> None:
    request = request_of(record(START))
    request.attributes = (encode("Huawei-Remanent-Volume", 5),)
    octets, _ = Engine(ClientTable([])).answer(request, 0)
    assert octets[20:] == bytes((26, 12)) + encode("Huawei-Remanent-Volume", 5)[1]
