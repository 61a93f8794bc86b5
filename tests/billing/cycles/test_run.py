"""Runs bill what is due once, whoever runs, dies or runs again; contradictions are parked."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from datetime import date, datetime, timedelta

import asyncpg
import pytest

from billing.accounts.register import lock
from billing.coupons import register as coupons
from billing.coupons.discount import Terms
from billing.coupons.register import Coupon
from billing.cycles import parking, run, schedule
from billing.cycles.run import run_account
from billing.database import Connection, Pool, connect
from billing.errors import NotFound
from billing.invoices import numbers
from billing.services import register as services
from tests.billing.cycles.conftest import BEGIN, Subscribe

APRIL = BEGIN + timedelta(days=31)


async def items(conn: Connection, account: str = "a") -> list[tuple[str, str, int, int]]:
    rows = await conn.fetch(
        "SELECT * FROM billed_items WHERE account_id = $1 ORDER BY item_id", account
    )
    return [
        (
            row["charge"],
            f"{row['starts_on']:%m-%d}/{row['ends_on']:%m-%d}",
            row["amount_micros"] // 10_000,
            row["discount_micros"] // 10_000,
        )
        for row in rows
    ]


async def bill(pool: Pool, at: datetime) -> run.RunView:
    return await run.run(pool, at=at, actor="test", now=at)


async def test_an_account_is_billed_when_its_service_starts_and_on_each_bill_day(
    world: Connection, pool: Pool, subscribe: Subscribe
) -> None:
    await subscribe("a")
    first = await bill(pool, BEGIN)
    assert (first.bills, first.billed, first.accounts_due) == (1, 1, 1)
    assert first.amounts_micros == {"EUR": 81_000_000}
    assert await items(world) == [
        ("access", "03-01/04-01", 3100, 0),
        ("setup", "03-01/03-02", 5000, 0),
    ]
    assert (await bill(pool, APRIL - timedelta(hours=9))).bills == 0
    assert (await bill(pool, APRIL)).billed == 1
    assert (await items(world))[2:] == [("access", "04-01/05-01", 3100, 0)]
    assert (await bill(pool, APRIL)).bills == 0
    closed = await world.fetch("SELECT starts_on, ends_on FROM billing_cycles")
    assert [tuple(row) for row in closed] == [(date(2026, 3, 1), date(2026, 4, 1))]


async def test_what_was_missed_is_made_up_for_cycle_by_cycle(
    world: Connection, pool: Pool, subscribe: Subscribe
) -> None:
    await subscribe("a", "large")
    late = await bill(pool, BEGIN + timedelta(days=100))
    assert late.bills == 4
    assert [each[:2] for each in await items(world)] == [
        ("access", "03-01/04-01"),
        ("access", "04-01/05-01"),
        ("rent", "03-01/04-01"),
        ("access", "05-01/06-01"),
        ("rent", "04-01/05-01"),
        ("access", "06-01/07-01"),
        ("rent", "05-01/06-01"),
    ]
    assert await world.fetchval("SELECT count(*) FROM billing_cycles") == 3


async def test_a_changed_service_is_billed_by_the_difference_and_a_rerun_by_nothing(
    world: Connection, pool: Pool, subscribe: Subscribe
) -> None:
    service = await subscribe("a")
    await bill(pool, BEGIN)
    mid = BEGIN + timedelta(days=10)
    await services.change(world, service, "large", actor="staff", now=mid)
    assert [item.amount_micros for item in (await run.preview(world, "a", mid)).items] == [
        42_000_000, -21_000_000,
    ]  # fmt: skip
    done = await run_account(world, "a", actor="staff", now=mid)
    assert done.amounts_micros == {"EUR": 21_000_000}
    assert (await items(world))[2:] == [
        ("access", "03-11/04-01", 4200, 0),
        ("access", "03-11/04-01", -2100, 0),
    ]
    for _ in range(2):
        again = await run_account(world, "a", actor="staff", now=mid)
        assert (again.billed, again.amounts_micros) == (0, {})
    assert (await run.preview(world, "a", mid)).items == ()
    # a downgrade at the end of the period is billed as if nothing had been planned until then
    await services.change(world, service, "small", actor="staff", now=mid)
    assert (await run_account(world, "a", actor="staff", now=mid)).billed == 0
    await bill(pool, APRIL)
    assert (await items(world))[4:] == [
        ("access", "04-01/05-01", 3100, 0),
        ("rent", "03-11/04-01", 210, 0),
    ]


async def test_a_cancellation_is_billed_to_its_end_and_then_never_again(
    world: Connection, pool: Pool, subscribe: Subscribe
) -> None:
    service = await subscribe("a", "large")
    await bill(pool, BEGIN)
    end = BEGIN + timedelta(days=20)
    await services.cancel(world, service, reason="moved", actor="staff", now=end)
    assert (await bill(pool, end)).amounts_micros == {"EUR": -20_000_000}
    assert (await items(world))[1:] == [
        ("rent", "03-01/03-21", 200, 0),
        ("access", "03-21/04-01", -2200, 0),
    ]
    for days in (30, 60, 90):
        await bill(pool, BEGIN + timedelta(days=days))
    assert len(await items(world)) == 3


async def test_a_service_that_was_never_there_is_given_back_whole(
    world: Connection, pool: Pool, subscribe: Subscribe
) -> None:
    service = await subscribe("a")
    await bill(pool, BEGIN)
    await services.cancel(world, service, reason="error", actor="staff", now=BEGIN)
    await bill(pool, BEGIN)
    assert (await items(world))[2:] == [("access", "03-01/04-01", -3100, 0)]


async def test_coupons_take_their_part_off_for_their_cycles(
    world: Connection, pool: Pool, subscribe: Subscribe
) -> None:
    service = await subscribe("a")
    terms = Terms(basis_points=1000, cycles=2, charges=("access",))
    await coupons.create(world, Coupon(code="TEN", description="Ten", terms=terms), BEGIN)
    await coupons.redeem(world, "TEN", "a", today=BEGIN.date(), actor="s", now=BEGIN)
    await bill(pool, BEGIN)
    mid = BEGIN + timedelta(days=10)
    await services.change(world, service, "large", actor="staff", now=mid)
    await bill(pool, mid)
    for month in (4, 5):
        await bill(pool, mid.replace(month=month, day=1))
    assert [each for each in await items(world) if each[0] == "access"] == [
        ("access", "03-01/04-01", 3100, 310),
        ("access", "03-11/04-01", 4200, 420),
        ("access", "03-11/04-01", -2100, -210),
        ("access", "04-01/05-01", 6200, 620),
        ("access", "05-01/06-01", 6200, 0),
    ]


async def test_a_minimum_is_made_up_for_when_the_cycle_closes(
    world: Connection, pool: Pool, subscribe: Subscribe
) -> None:
    await subscribe("a", "at-least", date(2026, 3, 11))
    await bill(pool, BEGIN + timedelta(days=10))
    await bill(pool, APRIL)
    await bill(pool, BEGIN + timedelta(days=61))
    assert await items(world) == [
        ("minimum", "03-01/04-01", 2100, 0),
        ("minimum", "04-01/05-01", 3100, 0),
    ]


async def test_a_contradictory_account_is_parked_and_the_others_are_billed(
    world: Connection, pool: Pool, subscribe: Subscribe
) -> None:
    for name in ("a", "b", "c"):
        await subscribe(name)
    # Nobody can write this through the register: the table is opened by hand.
    await world.execute("SET ROLE NONE")
    await world.execute("ALTER TABLE service_terms DROP CONSTRAINT service_terms_apart")
    await world.execute(
        "INSERT INTO service_terms (service_id, starts_on, offer, offer_version, quantity)"
        " SELECT service_id, '2026-03-05', 'large', 1, 1 FROM services WHERE account_id = 'b'"
    )
    done = await bill(pool, BEGIN)
    assert (done.billed, done.parked) == (2, 1)
    [parked] = await parking.list_(world)
    assert (parked.account, parked.run) == ("b", done.run)
    assert "is on small and on large on 2026-03-05" in parked.reason
    assert [o.outcome for o in await run.outcomes(world, done.run)] == [
        "parked",
        "billed",
        "billed",
    ]
    with pytest.raises(NotFound, match="is parked; release it first"):
        await run_account(world, "b", actor="staff", now=BEGIN)
    assert (await bill(pool, APRIL)).bills == 2
    await world.execute("DELETE FROM service_terms WHERE offer = 'large'")
    await parking.release(world, "b", note="put right", actor="staff", now=APRIL)
    with pytest.raises(NotFound, match="account b is not parked"):
        await parking.release(world, "b", note="", actor="staff", now=APRIL)
    await bill(pool, APRIL)
    assert [each[:2] for each in await items(world, "b")] == [
        ("access", "03-01/04-01"),
        ("setup", "03-01/03-02"),
        ("access", "04-01/05-01"),
    ]


async def test_a_bill_that_the_database_refuses_parks_its_account_alone(
    world: Connection, pool: Pool, subscribe: Subscribe
) -> None:
    for name in ("a", "b", "c"):
        await subscribe(name)
    await world.execute("SET ROLE NONE")
    await world.execute("ALTER TABLE billed_items ADD CHECK (account_id <> 'b') NOT VALID")
    done = await bill(pool, BEGIN)
    assert (done.billed, done.parked) == (2, 1)
    [parked] = await parking.list_(world)
    assert parked.reason.startswith("the database refuses its bill")


async def test_several_schedulers_at_once_bill_each_account_once(
    world: Connection, pool: Pool, database_url: str, subscribe: Subscribe,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(run, "CHUNK", 3)
    for number in range(40):
        await subscribe(f"a{number}")
    pools = [await connect(database_url, size=2) for _ in range(3)]
    late = BEGIN + timedelta(days=40)
    done = await asyncio.gather(*(bill(each, late) for each in (pool, *pools)))
    assert len({each.run for each in done}) >= 1
    assert await world.fetchval("SELECT count(*) FROM billed_items") == 40 * 3
    assert await world.fetchval("SELECT count(*) FROM billing_cycles") == 40
    for each in pools:
        await each.close()


async def test_days_cannot_be_billed_twice_by_whatever_writes(
    world: Connection, pool: Pool, subscribe: Subscribe
) -> None:
    await subscribe("a")
    await bill(pool, BEGIN)
    with pytest.raises(asyncpg.ExclusionViolationError):
        await world.execute(
            "INSERT INTO billed_days"
            " SELECT item_id, charge_id, daterange('2026-03-31', '2026-04-02') FROM billed_days"
        )
    with pytest.raises(asyncpg.UniqueViolationError):
        await world.execute(
            "INSERT INTO billing_cycles (account_id, starts_on, ends_on, run_id, billed_at)"
            " SELECT 'a', '2026-03-01', day, 1, now()"
            " FROM unnest('{2026-04-01,2026-04-02}'::date[]) AS day"
        )
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="permission denied"):
        await world.execute("UPDATE billed_items SET amount_micros = 0")


async def test_a_run_that_is_killed_is_gone_on_with(
    world: Connection, pool: Pool, database_url: str, subscribe: Subscribe
) -> None:
    for number in range(60):
        await subscribe(f"a{number}")
    program = (
        "import asyncio, sys\n"
        "from tests.billing.cycles.test_run import run_slowly\n"
        "asyncio.run(run_slowly(sys.argv[1]))"
    )
    victim = subprocess.Popen([sys.executable, "-c", program, database_url])
    async with asyncio.timeout(30):
        while await world.fetchval("SELECT count(*) FROM billed_items") < 20:
            await asyncio.sleep(0.01)
    os.kill(victim.pid, signal.SIGKILL)
    victim.wait()
    before = await world.fetchval("SELECT count(DISTINCT account_id) FROM billed_items")
    assert 0 < before < 60
    done = await bill(pool, BEGIN)
    assert (done.run, done.bills, done.ended_at) == (1, 60, BEGIN)
    assert await world.fetchval("SELECT count(*) FROM billed_items") == 120
    [series] = await numbers.list_(world)
    assert (series.last_number, series.missing) == (60, 0)


async def run_slowly(url: str) -> None:
    run.CHUNK = 5  # pyright: ignore[reportAttributeAccessIssue]
    async with await connect(url, size=4) as pool:

        def pause(_done: int, _of: int) -> None:
            time.sleep(0.1)

        await run.run(pool, at=BEGIN, actor="victim", now=BEGIN, progress=pause)


async def test_a_termination_and_a_run_come_one_after_the_other(
    world: Connection, pool: Pool, subscribe: Subscribe
) -> None:
    services_ = [await subscribe(f"a{number}") for number in range(8)]
    await bill(pool, BEGIN)

    async def cancel(service: int) -> None:
        async with pool.acquire() as conn:
            await services.cancel(conn, service, reason="", actor="s", now=APRIL)

    await asyncio.gather(bill(pool, APRIL), *(cancel(service) for service in services_))
    await bill(pool, APRIL)
    for number in range(8):
        billed = await items(world, f"a{number}")
        assert sum(each[2] for each in billed if each[0] == "access") == 3100
    assert (await bill(pool, APRIL + timedelta(days=31))).billed == 0


async def test_a_run_waits_for_an_account_that_somebody_has_taken(
    world: Connection, pool: Pool, subscribe: Subscribe
) -> None:
    for name in ("a", "b"):
        await subscribe(name)
    async with pool.acquire() as other:
        holding = other.transaction()
        await holding.start()
        await lock(other, "a")
        running = asyncio.create_task(bill(pool, BEGIN))
        async with asyncio.timeout(20):
            while await world.fetchval("SELECT count(*) FROM billed_items") < 2:
                await asyncio.sleep(0.02)
        assert not running.done()
        await holding.rollback()
        assert (await running).billed == 2


async def test_runs_are_told_newest_first(
    world: Connection, pool: Pool, subscribe: Subscribe
) -> None:
    await subscribe("a")
    for days in (0, 31, 62):
        await bill(pool, BEGIN + timedelta(days=days))
    listed = await run.list_(world)
    assert [each.at for each in listed] == [BEGIN + timedelta(days=days) for days in (62, 31, 0)]
    assert await run.list_(world, before=listed[0].run, limit=1) == [listed[1]]
    with pytest.raises(NotFound, match="run 99"):
        await run.view(world, 99)


async def test_each_zone_is_billed_at_its_own_midnight(
    world: Connection, pool: Pool, subscribe: Subscribe
) -> None:
    for name, zone in (("west", "America/Los_Angeles"), ("east", "Asia/Tokyo")):
        await subscribe(name)
        await world.execute(
            "UPDATE customer_billing_accounts SET time_zone = $2 WHERE account_id = $1", name, zone
        )
    await bill(pool, BEGIN)
    assert (await schedule.get(world, "west")).next_bill_on == date(2026, 4, 1)
    for moment, bills in (
        ("2026-03-31T14:59:59+00:00", 0),
        ("2026-03-31T15:00:00+00:00", 1),  # 1 April in Tokyo
        ("2026-04-01T06:59:59+00:00", 0),
        ("2026-04-01T07:00:00+00:00", 1),  # and, on summer time, in Los Angeles
    ):
        assert (await bill(pool, datetime.fromisoformat(moment))).bills == bills
