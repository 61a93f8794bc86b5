"""A bill is written whole: items, the days that they are for, the cycle, what coupons took."""

from datetime import date, timedelta

from billing.cycles import run
from billing.database import Connection, Pool
from billing.services import register as services
from tests.billing.cycles.conftest import BEGIN, Subscribe


async def days(conn: Connection) -> list[tuple[str, date, date]]:
    rows = await conn.fetch(
        "SELECT offer, lower(days) AS since, upper(days) AS until"
        " FROM billed_days JOIN billed_items USING (item_id)"
        " WHERE kind = 'recurring' ORDER BY days"
    )
    return [tuple(row) for row in rows]


async def test_the_days_of_a_charge_are_those_that_were_not_credited(
    world: Connection, pool: Pool, subscribe: Subscribe
) -> None:
    service = await subscribe("a")
    await run.run(pool, at=BEGIN, actor="test", now=BEGIN)
    assert await days(world) == [("small", date(2026, 3, 1), date(2026, 4, 1))]
    # a pause of ten days in the middle leaves two pieces of one charge
    now = BEGIN + timedelta(days=10)
    until = date(2026, 3, 21)
    await services.pause(world, service, until=until, reason="", actor="staff", now=now)
    await run.run(pool, at=now, actor="test", now=now)
    assert await days(world) == [
        ("small", date(2026, 3, 1), date(2026, 3, 11)),
        ("small", date(2026, 3, 21), date(2026, 4, 1)),
    ]
    # and each can be credited on its own
    end = BEGIN + timedelta(days=25)
    await services.cancel(world, service, reason="", actor="staff", now=end)
    await run.run(pool, at=end, actor="test", now=end)
    assert await days(world) == [
        ("small", date(2026, 3, 1), date(2026, 3, 11)),
        ("small", date(2026, 3, 21), date(2026, 3, 26)),
    ]
    left = await world.fetchval(
        "SELECT sum(amount_micros) FROM billed_items WHERE charge = 'access'"
    )
    assert left == 15_000_000
