"""Offers have versions, and services keep theirs."""

from datetime import datetime

import msgspec
import pytest

from billing.catalogue.planfile import parse_plans
from billing.catalogue.plans import load_plans
from billing.database import Connection
from billing.errors import Conflict, NotFound
from billing.offers import register
from billing.offers.offer import Offer
from billing.offers.register import LoadedOffer

PLAN = '[[plan]]\nname = "basic"\ncurrency = "EUR"'
HOME = Offer(name="home", version=7, currency="EUR", plan="basic", minimum_micros=5_000_000)


async def test_a_changed_offer_is_a_new_version_and_the_old_one_stays(
    conn: Connection, now: datetime
) -> None:
    await load_plans(conn, parse_plans(PLAN, "p"), now)
    assert await register.load_offers(conn, [HOME], now) == [LoadedOffer("home", 1, changed=True)]
    assert await register.load_offers(conn, [HOME], now) == [LoadedOffer("home", 1, changed=False)]
    dearer = msgspec.structs.replace(HOME, minimum_micros=6_000_000)
    assert await register.load_offers(conn, [dearer], now) == [LoadedOffer("home", 2, changed=True)]
    assert (await register.get(conn, "home")).minimum_micros == 6_000_000
    assert [each.version for each in await register.list_(conn)] == [2]
    versions = await register.versions(conn, [("home", 1), ("home", 2), ("home", 3)])
    assert {key: offer.minimum_micros for key, offer in versions.items()} == {
        ("home", 1): 5_000_000,
        ("home", 2): 6_000_000,
    }


async def test_an_offer_that_cannot_be_sold_is_refused_and_none_is_loaded(
    conn: Connection, now: datetime
) -> None:
    other = Offer(name="other", version=1, currency="EUR")
    with pytest.raises(NotFound, match="offer home: plan basic does not exist"):
        await register.load_offers(conn, [other, HOME], now)
    assert await register.list_(conn) == []
    await load_plans(conn, parse_plans(PLAN, "p"), now)
    in_dollars = msgspec.structs.replace(HOME, currency="USD")
    with pytest.raises(Conflict, match="is in USD, its plan basic in EUR"):
        await register.load_offers(conn, [in_dollars], now)
    await register.load_offers(conn, [other], now)
    with pytest.raises(Conflict, match="needs a name of its own"):
        await register.load_offers(conn, [Offer(name="other", version=1, currency="USD")], now)
    with pytest.raises(NotFound, match="offer none"):
        await register.get(conn, "none")
