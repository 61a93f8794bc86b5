"""A plan is for open invoices, suspends their due dates, and ends paid, missed or cancelled."""

from datetime import date, timedelta

import asyncpg
import pytest

from billing.database import Connection
from billing.dunning import processes
from billing.dunning.campaign import Action
from billing.errors import Conflict, InvalidInput, NotFound
from billing.payment_plans import register
from tests.billing.dunning.conftest import Owe, Pay, due, owe, pay, world

__all__ = ["owe", "pay", "world"]

FIRST = date(2026, 4, 15)


async def agree(conn: Connection, number: int = 3, **fields: object) -> register.PaymentPlan:
    given = {"first_due": FIRST, "actor": "eve", "now": due(5)} | fields
    return await register.create(conn, "alice", number=number, **given)  # pyright: ignore[reportArgumentType] -- of any of them


async def test_the_instalments_sum_to_what_is_left_on_the_invoices(
    world: Connection, owe: Owe, pay: Pay
) -> None:
    first, second = await owe(30_000_000), await owe(70_010_000)
    await pay(first, 10_000_000, due(1))
    plan = await agree(world)
    assert plan.debt_micros == plan.outstanding_micros == 90_010_000
    assert [each.amount_micros for each in plan.instalments] == [30_000_000, 30_000_000, 30_010_000]
    assert [each.due_on for each in plan.instalments] == [
        FIRST, date(2026, 5, 15), date(2026, 6, 15),
    ]  # fmt: skip
    assert (plan.invoices, plan.status, plan.due_micros) == ((first, second), "active", 0)
    assert await register.list_(world, "alice", now=due(5)) == [plan]
    assert await register.list_(world, "bob", now=due(5)) == []


async def test_what_is_collected_is_what_is_due_and_never_more_than_is_outstanding(
    world: Connection, owe: Owe, pay: Pay
) -> None:
    invoice = await owe(90_000_000)
    plan = (await agree(world)).plan
    on_first = due(30)
    assert (await register.get(world, plan, on_first)).due_micros == 30_000_000
    await pay(invoice, 80_000_000, on_first)
    assert (await register.get(world, plan, on_first)).due_micros == 0
    at_the_end = await register.get(world, plan, on_first + timedelta(days=70))
    assert (at_the_end.due_micros, at_the_end.outstanding_micros) == (10_000_000, 10_000_000)
    await pay(invoice, 10_000_000, on_first)
    ended = await register.review_all(world, on_first)
    assert [each.status for each in ended] == ["completed"]
    assert await register.review_all(world, on_first) == []


async def test_dunning_rests_while_a_plan_is_kept_and_resumes_when_it_is_not(
    world: Connection, owe: Owe
) -> None:
    await owe(90_000_000)
    await processes.look_at(world, "alice", due(14))
    plan = (await agree(world, now=due(15))).plan
    looked = await processes.look_at(world, "alice", due(15))
    assert (looked.restored, looked.ended) == (True, True)
    assert (await processes.look_at(world, "alice", due(30))).taken == ()
    # 15 April, and three days of grace
    assert (await register.review(world, plan, due(33))).status == "active"
    assert (await register.review(world, plan, due(34))).status == "defaulted"
    resumed = await processes.look_at(world, "alice", due(35))
    assert Action.SUSPEND in resumed.taken


async def test_a_plan_that_is_cancelled_lets_the_due_dates_count_again(
    world: Connection, owe: Owe
) -> None:
    await owe(90_000_000)
    plan = (await agree(world)).plan
    assert (await processes.look_at(world, "alice", due(14))).taken == ()
    assert (await register.cancel(world, plan, due(14))).status == "cancelled"
    assert Action.SUSPEND in (await processes.look_at(world, "alice", due(14))).taken
    with pytest.raises(Conflict, match="is cancelled"):
        await register.cancel(world, plan, due(14))
    # and another one can be agreed on
    assert (await agree(world, now=due(15))).status == "active"


async def test_what_cannot_be_is_refused(world: Connection, owe: Owe) -> None:
    with pytest.raises(Conflict, match="owes nothing"):
        await agree(world)
    invoice = await owe(90_000_000)
    for number, fields, kind, message in (
        (1, {}, InvalidInput, "1 instalments"),
        (3, {"first_due": date(2026, 3, 1)}, InvalidInput, "allowed is 2026-03-21 or later"),
        (3, {"grace_days": 91}, InvalidInput, "grace_days is 91"),
        (3, {"invoices": [invoice, 99]}, Conflict, "invoices 99: they must be open"),
    ):
        with pytest.raises(kind, match=message):
            await agree(world, number, **fields)
    await agree(world, invoices=[invoice])
    with pytest.raises(Conflict, match="owes nothing"):
        await agree(world)
    with pytest.raises(NotFound, match="payment plan 99"):
        await register.get(world, 99, due(5))


async def test_whatever_writes_the_instalments_sum_to_the_debt(world: Connection, owe: Owe) -> None:
    await owe(90_000_000)
    await agree(world)
    with pytest.raises(asyncpg.IntegrityConstraintViolationError, match="and not to its debt"):
        await world.execute("UPDATE installments SET amount_micros = 1 WHERE number = 1")
