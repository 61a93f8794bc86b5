"""The session that a job is about, read anew."""

import msgspec
import pytest

from radius.encoding import encode
from radius.profiles import builtin_profiles
from ratewire.enforcement.subjects import Subjects
from ratewire.pipeline.plans import published_name
from ratewire.pipeline.raters import PlanReader
from ratewire.pipeline.tickets import garden_class
from tests.ratewire.provider import NAS, START, STOP, Provider
from tests.ratewire.records import METERED

KEY = f"{NAS}|s1"
CHILLI = builtin_profiles()["coovachilli"]


@pytest.fixture
def provider(any_provider: Provider) -> Provider:
    return any_provider


def subjects(provider: Provider) -> Subjects:
    return Subjects(provider.world.hot, PlanReader(provider.world.directory))


async def test_its_plan_and_the_limits_of_now(provider: Provider) -> None:
    await provider.subscribe(2_000_000)
    await provider.told(START)
    uid = (await provider.session()).uid
    found = await subjects(provider).of(KEY, uid, CHILLI)
    assert found is not None
    assert published_name(found.plan) == "metered@1"
    assert (found.state.username, found.account.account) == ("bob", "acme")
    assert encode("ChilliSpot-Max-Total-Octets", 10**9) in found.limits
    assert not found.began_in_garden


async def test_no_limits_where_the_nas_takes_none_by_coa(provider: Provider) -> None:
    await provider.subscribe(2_000_000)
    await provider.told(START)
    uid = (await provider.session()).uid
    quota = msgspec.structs.replace(CHILLI.quota, in_coa=False)
    found = await subjects(provider).of(KEY, uid, msgspec.structs.replace(CHILLI, quota=quota))
    assert found is not None
    assert found.limits == []


async def test_one_that_began_in_a_garden_is_known(provider: Provider) -> None:
    await provider.subscribe(2_000_000)
    await provider.told(START, classes=(garden_class(),))
    found = await subjects(provider).of(KEY, (await provider.session()).uid, CHILLI)
    assert found is not None
    assert found.began_in_garden


async def test_another_epoch_or_one_that_is_over_is_none(provider: Provider) -> None:
    await provider.subscribe(2_000_000)
    await provider.told(START)
    uid = (await provider.session()).uid
    assert await subjects(provider).of(KEY, bytes(16), CHILLI) is None
    await provider.publish(METERED, msgspec.structs.replace(METERED, version=2))
    assert await subjects(provider).of(KEY, uid, CHILLI) is not None
    await provider.told(STOP, 5, 0, 0)
    assert await subjects(provider).of(KEY, uid, CHILLI) is None
