"""The queue bills, duns and restores by itself, each once, by the billing side's clock."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

from billing.accounts import register as accounts
from billing.accounts.account import AccountStatus
from billing.clock import moved
from billing.database import Connection, Pool, connect
from billing.dunning import campaigns, processes
from billing.dunning.campaign import Action
from billing.invoices import settling
from billing.services import register as services
from billing.upkeep.billing_jobs import bill_what_is_due, dun_all
from billing.upkeep.jobs import Job, enqueue
from billing.upkeep.scheduler import Scheduler
from tests.billing.cycles.conftest import BEGIN, Subscribe, subscribe, world
from tests.billing.dunning.conftest import CAMPAIGN

__all__ = ["subscribe", "world"]


@asynccontextmanager
async def schedulers(*pools: Pool) -> AsyncGenerator[None]:
    stop = asyncio.Event()
    tasks = [asyncio.create_task(Scheduler(pool, lambda: BEGIN).run(stop)) for pool in pools]
    try:
        yield
    finally:
        stop.set()
        await asyncio.wait_for(asyncio.gather(*tasks), 15)


async def until(conn: Connection, query: str, expected: object) -> None:
    async with asyncio.timeout(30):
        while await conn.fetchval(query) != expected:
            await asyncio.sleep(0.05)


async def test_two_schedulers_bill_each_account_once(
    world: Connection, pool: Pool, database_url: str, subscribe: Subscribe
) -> None:
    for number in range(12):
        await subscribe(f"a{number}")
    other = await connect(database_url, size=4)
    async with schedulers(pool, other):
        for number in range(4):
            await enqueue(world, Job.BILLING, key=f"billing {number}")
        await until(world, "SELECT count(*) FROM invoices WHERE status = 'open'", 12)
        await until(world, "SELECT count(*) FROM pgqueuer", 0)
    assert await world.fetchval("SELECT count(*) FROM billed_items") == 24
    assert await world.fetchval("SELECT count(DISTINCT number) FROM invoices") == 12
    await other.close()


async def test_a_payment_restores_the_service_at_once(
    world: Connection, pool: Pool, subscribe: Subscribe
) -> None:
    await subscribe("a")
    await bill_what_is_due(pool, BEGIN)
    await campaigns.put(world, CAMPAIGN, default=True, now=BEGIN)
    late = BEGIN + timedelta(days=30, hours=4)
    await moved.move(world, late, BEGIN)
    await dun_all(pool, BEGIN)
    assert (await accounts.get(world, "a")).status is AccountStatus.SUSPENDED
    async with schedulers(pool):
        async with world.transaction():
            for due in await settling.due_first(world, "a"):
                if due.left_micros > 10_000_000:  # but not the late fee
                    await settling.pay(
                        world, due.invoice_id, due.left_micros, actor="test", now=late
                    )
        await until(world, "SELECT status FROM customer_billing_accounts", "active")
    steps = await processes.steps(world, 1)
    assert [each.action for each in steps if not each.skipped][-2:] == [
        Action.SUSPEND,
        Action.REACTIVATION_FEE,
    ]


async def test_services_and_drafts_follow_the_clock_that_is_moved(
    world: Connection, pool: Pool, subscribe: Subscribe
) -> None:
    service = await subscribe("a")
    await world.execute("UPDATE billing_schedules SET review_days = 3")
    await bill_what_is_due(pool, BEGIN)

    async def state() -> list[str]:
        rows = await world.fetch("SELECT status FROM invoices ORDER BY invoice_id")
        return [row[0] for row in rows]

    async def at(moment: datetime) -> list[str]:
        await moved.move(world, moment, BEGIN)
        await bill_what_is_due(pool, BEGIN)
        return await state()

    assert await state() == ["draft"]
    assert await at(BEGIN + timedelta(days=3, seconds=-1)) == ["draft"]
    assert await at(BEGIN + timedelta(days=3)) == ["open"]
    assert await at(BEGIN + timedelta(days=31)) == ["open", "draft"]
    await services.cancel(
        world, service, reason="", actor="s", now=await moved.current(world, BEGIN)
    )


async def test_without_a_seller_nothing_is_billed_and_nothing_fails(
    conn: Connection, pool: Pool
) -> None:
    await bill_what_is_due(pool, BEGIN)
    await dun_all(pool, BEGIN)
    assert await conn.fetchval("SELECT count(*) FROM billing_runs") == 0
