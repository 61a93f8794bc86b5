"""What a subscriber may do follows its service, and comes back from a rebuild as it was."""

from datetime import datetime, timedelta

from billing.database import Connection
from billing.services import listing, provisioning, register
from billing.statements import load


async def test_a_rebuild_restores_the_served_on_the_plan_they_are_on(
    world: Connection, now: datetime
) -> None:
    service = (
        await register.order(world, "alice", "small", username="al", actor="s", now=now)
    ).service
    await register.start(world, service, actor="s", now=now)

    async def restored() -> list[tuple[str, str]]:
        rows = await world.fetch(load("billing.rebuild", "queries.sql")["subscribers"])
        return [(row["username"], row["plan"]) for row in rows]

    assert await restored() == [("al", "basic")]
    async with world.transaction():
        await provisioning.throttle(world, "alice", "slow", now)
    assert await restored() == [("al", "slow")]
    await register.pause(world, service, reason="", actor="s", now=now + timedelta(days=1))
    assert await restored() == []


async def test_provisioning_again_changes_nothing(world: Connection, now: datetime) -> None:
    service = (
        await register.order(world, "alice", "small", username="al", actor="s", now=now)
    ).service
    await register.start(world, service, actor="s", now=now)
    entry = await listing.get(world, service)
    async with world.transaction():
        assert not await provisioning.provision(world, entry, now.date(), now)
    # a service without a subscriber, or whose subscriber is gone, has nobody to tell
    await world.execute("DELETE FROM subscribers")
    async with world.transaction():
        assert not await provisioning.provision(world, entry, now.date(), now)
