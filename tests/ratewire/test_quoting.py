"""Dry runs for a subscriber as it stands, and for somebody who has no account."""

import pytest

from balances.connection import Connection
from billing.errors import InvalidInput, NotFound
from ratewire.quoting import Customer, lasting, price_of
from ratewire.wiring import System, now
from rating.quantity import NOTHING, Counters
from tests.ratewire.office import Office
from tests.ratewire.provider import INTERIM, START
from tests.ratewire.today import today

MB = 1_000_000


async def test_a_subscriber_is_told_what_its_money_is_good_for(
    system: System, office: Office, connection: Connection
) -> None:
    await office.subscribe(5 * MB)
    bob = Customer(subscriber="bob")
    async with (await system.pool()).acquire() as conn:
        found = await price_of(system, conn, bob, Counters(60, 0, 100 * MB), None, now=now())
        assert (found.plan, found.currency, found.charge_micros) == ("metered", "EUR", 200_000)
        assert sum(line.amount_micros for line in found.lines) == 200_000
        good = await lasting(system, conn, bob, Counters(0, 0, 1_000), None, now=now())
        # 2.00 a GB: 5.00 are 2.5 GB, 2.5 million seconds at a kilobyte each.
        assert (good.available_micros, good.octets) == (5 * MB, 2_500 * MB)
        assert good.seconds == 2_500_000
        # What a running session has reserved is not there any more.
        provider = today(connection)
        await provider.told(START, 0, 0, 0)
        await provider.told(INTERIM, 60, 0, 100 * MB)
        left = await lasting(system, conn, bob, NOTHING, None, now=now())
        balance, reserved = await provider.money()
        assert left.available_micros == balance - reserved < 5 * MB - 200_000
        assert left.seconds is None  # time alone costs nothing


async def test_somebody_without_an_account_asks_about_a_plan(
    system: System, office: Office
) -> None:
    async with (await system.pool()).acquire() as conn:
        hourly = Customer("hourly", 1)
        found = await price_of(system, conn, hourly, Counters(3600), "2026-05-01T12:00", now=now())
        assert (found.plan_version, found.at.isoformat()) == (1, "2026-05-01T12:00:00+00:00")
        good = await lasting(system, conn, hourly, NOTHING, found.charge_micros, now=now())
        assert good.seconds == 3600
        for customer, at, usage, reason in (
            (Customer(), None, NOTHING, "give a plan or a subscriber"),
            (hourly, "noon", NOTHING, "write 2026-05-01T12:00"),
            (hourly, "0001-01-01", NOTHING, "the years 1990 to 2100"),
            (hourly, None, Counters(2**40), "seconds is 1099511627776, allowed is"),
            (Customer("hourly", service="wifi"), None, NOTHING, "it has none"),
        ):
            with pytest.raises(InvalidInput, match=reason):
                await price_of(system, conn, customer, usage, at, now=now())
        for missing in (Customer("no"), Customer("hourly", 9), Customer(subscriber="no")):
            with pytest.raises(NotFound):
                await price_of(system, conn, missing, NOTHING, None, now=now())
        with pytest.raises(InvalidInput, match="a plan and a balance"):
            await lasting(system, conn, hourly, NOTHING, None, now=now())
