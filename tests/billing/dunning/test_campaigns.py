"""Campaigns have versions; each account is under one, or none."""

from datetime import timedelta

import msgspec
import pytest

from billing.database import Connection
from billing.dunning import campaigns
from billing.errors import NotFound
from tests.billing.dunning.conftest import CAMPAIGN, ISSUED


async def test_a_campaign_that_changes_is_a_new_version(world: Connection) -> None:
    same = await campaigns.put(world, CAMPAIGN, now=ISSUED)
    assert (same.version, same.is_default) == (1, True)
    later = msgspec.structs.replace(CAMPAIGN, hour=12)
    changed = await campaigns.put(world, later, now=ISSUED + timedelta(days=1))
    assert (changed.version, changed.campaign.hour) == (2, 12)
    assert (await campaigns.at_version(world, "standard", 1)).hour == 9
    assert await campaigns.list_(world) == [changed]


async def test_an_account_is_under_the_default_or_its_own(world: Connection) -> None:
    assert (await campaigns.of_account(world, "alice")).campaign == "standard"
    gentle = msgspec.structs.replace(CAMPAIGN, name="gentle", steps=CAMPAIGN.steps[:1])
    await campaigns.put(world, gentle, now=ISSUED)
    own = await campaigns.set_account(
        world, "alice", campaign="gentle", excluded=False, reason="asked"
    )
    assert (own.campaign, own.own, own.excluded, own.reason) == ("gentle", True, False, "asked")
    back = await campaigns.set_account(world, "alice", campaign=None, excluded=False, reason="")
    assert (back.campaign, back.own) == ("standard", False)
    with pytest.raises(NotFound, match="campaign none"):
        await campaigns.set_account(world, "alice", campaign="none", excluded=False, reason="")
    with pytest.raises(NotFound, match="account bob"):
        await campaigns.set_account(world, "bob", campaign=None, excluded=True, reason="")
