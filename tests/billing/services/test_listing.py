"""Services are listed in pages, with their terms."""

from datetime import datetime, timedelta

import pytest

from billing.accounts import register as accounts
from billing.database import Connection
from billing.errors import NotFound
from billing.services import listing, register


async def test_services_are_listed_by_account_and_in_pages(
    world: Connection, now: datetime
) -> None:
    await accounts.create(world, "bob", "EUR", now=now)
    made = [
        (await register.order(world, account, "tv", actor="s", now=now)).service
        for account in ("alice", "bob", "alice")
    ]
    await register.start(world, made[0], actor="s", now=now)
    listed = await listing.list_(world, "alice")
    assert [each.service for each in listed] == [made[0], made[2]]
    assert [len(each.terms) for each in listed] == [1, 0]
    first = await listing.list_(world, limit=2)
    rest = await listing.list_(world, after=first[-1].service, limit=2)
    assert [each.service for each in first + rest] == made


async def test_what_happened_to_a_service_is_told_with_who_and_why(
    world: Connection, now: datetime
) -> None:
    service = (await register.order(world, "alice", "tv", actor="eve", now=now)).service
    await register.start(world, service, actor="eve", now=now)
    later = now + timedelta(days=3)
    await register.cancel(world, service, reason="moved away", actor="bob", now=later)
    [_, _, last] = await listing.events(world, service)
    assert (last.at, last.event, last.reason, last.actor) == (
        later,
        "cancelled",
        "moved away",
        "bob",
    )
    with pytest.raises(NotFound, match="service 99 does not exist"):
        await listing.get(world, 99)
