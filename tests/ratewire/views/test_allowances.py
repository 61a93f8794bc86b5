"""An account's allowances, live."""

import pytest

from billing.allowances.granting import NewGrant, Source, grant
from billing.errors import NotFound
from ratewire.views.allowances import allowance_views
from ratewire.wiring import System, now
from rating.allowance import Unit
from tests.ratewire.office import Office


async def test_what_is_left_is_listed_in_the_order_of_its_use(
    system: System, office: Office
) -> None:
    await office.subscribe(0)
    assert await allowance_views(system, "acme", now()) == []
    async with (await system.pool()).acquire() as conn:
        for name, priority in (("second", 20), ("first", 10)):
            new = NewGrant(
                *("acme", name, Unit.OCTETS, 10**9, Source.TOPUP, "paid"),
                priority=priority,
                username="bob",
            )
            await grant(conn, new, actor="eve", now=now())
    await (await system.relay()).drain()
    found = await allowance_views(system, "acme", now())
    assert [each.name for each in found] == ["first", "second"]
    [first, _] = found
    assert (first.left, first.until, first.username, first.source) == (10**9, None, "bob", "topup")
    assert not first.ended
    with pytest.raises(NotFound):
        await allowance_views(system, "nobody", now())
