"""An account's next bill is due at a local midnight; its cycle changes where a period ends."""

from datetime import date, datetime, timedelta

import pytest

from billing.accounts import register as accounts
from billing.cycles import schedule
from billing.cycles.calendar import Alignment, Change, Cycle, Unit
from billing.database import Connection
from billing.errors import InvalidInput, NotFound

TODAY = date(2026, 3, 14)


@pytest.fixture
async def alice(conn: Connection, now: datetime) -> Connection:
    await accounts.create(conn, "alice", "EUR", now=now)
    return conn


async def due_at(conn: Connection) -> datetime:
    return await conn.fetchval("SELECT next_bill_at FROM billing_schedules")


async def test_an_account_is_billed_by_months_from_its_first_service_on(
    alice: Connection, now: datetime
) -> None:
    with pytest.raises(NotFound, match="not billed yet"):
        await schedule.get(alice, "alice")
    with pytest.raises(NotFound, match="account bob does not exist"):
        await schedule.get(alice, "bob")
    async with alice.transaction():
        await schedule.note_change(alice, "alice", date(2026, 3, 31), TODAY, now)
    found = await schedule.get(alice, "alice")
    assert found.calendar.changes == (Change(date(2026, 3, 31), Cycle(Unit.MONTH, 31, 3)),)
    assert (found.alignment, found.unit) == (Alignment.ANNIVERSARY, Unit.MONTH)
    assert found.next_bill_on == date(2026, 3, 31)


async def test_the_bill_is_due_when_the_day_begins_in_the_accounts_zone(
    alice: Connection, now: datetime
) -> None:
    await alice.execute("UPDATE customer_billing_accounts SET time_zone = 'America/New_York'")
    async with alice.transaction():
        await schedule.set_cycle(alice, "alice", alignment=Alignment.CALENDAR, bill_day=15, now=now)
    assert await due_at(alice) == datetime.fromisoformat("2026-03-15T04:00:00+00:00")


async def test_a_change_makes_a_bill_due_on_its_day_or_now_if_that_is_past(
    alice: Connection, now: datetime
) -> None:
    async with alice.transaction():
        await schedule.set_cycle(alice, "alice", alignment=Alignment.CALENDAR, now=now)
        assert (await schedule.get(alice, "alice")).next_bill_on == date(2026, 4, 1)
        await schedule.note_change(alice, "alice", date(2026, 5, 1), TODAY, now)
        assert (await schedule.get(alice, "alice")).next_bill_on == date(2026, 4, 1)
        await schedule.note_change(alice, "alice", date(2026, 3, 20), TODAY, now)
        assert (await schedule.get(alice, "alice")).next_bill_on == date(2026, 3, 20)
        await schedule.note_change(alice, "alice", date(2026, 3, 1), TODAY, now)
        found = await schedule.get(alice, "alice")
    assert (found.next_bill_on, found.changed_since) == (TODAY, date(2026, 3, 1))


async def test_a_new_cycle_holds_from_the_end_of_the_period_that_runs(
    alice: Connection, now: datetime
) -> None:
    async with alice.transaction():
        await schedule.set_cycle(alice, "alice", alignment=Alignment.CALENDAR, now=now)
        await alice.execute("UPDATE billing_schedules SET billed_until = $1", TODAY)
        later = now + timedelta(days=3)
        changed = await schedule.set_cycle(
            alice, "alice", unit=Unit.QUARTER, alignment=Alignment.CALENDAR, bill_day=15,
            review_days=3, now=later,
        )  # fmt: skip
    assert changed.calendar.changes == (
        Change(TODAY, Cycle(Unit.MONTH, 1)),
        Change(date(2026, 4, 1), Cycle(Unit.QUARTER, 15)),
    )
    assert changed.next_bill_on == date(2026, 4, 1)
    assert changed.review_days == 3


async def test_before_the_first_bill_a_cycle_is_simply_replaced(
    alice: Connection, now: datetime
) -> None:
    async with alice.transaction():
        for unit in (Unit.MONTH, Unit.WEEK):
            changed = await schedule.set_cycle(alice, "alice", unit=unit, now=now)
    assert changed.calendar.changes == (Change(TODAY, Cycle(Unit.WEEK, 6)),)


async def test_impossible_terms_are_refused(alice: Connection, now: datetime) -> None:
    for fields, message in (
        ({"review_days": 31}, "review_days is 31"),
        ({"bill_day": 32, "alignment": Alignment.CALENDAR}, "bill day 32"),
        ({"bill_day": 3}, "by anniversary"),
    ):
        with pytest.raises(InvalidInput, match=message):
            async with alice.transaction():
                await schedule.set_cycle(alice, "alice", now=now, **fields)  # pyright: ignore[reportArgumentType] -- of any of them
