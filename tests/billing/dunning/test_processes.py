"""A debt is dunned step by step, each once, and what was done is undone when it is paid."""

import asyncio
from datetime import date, timedelta

import msgspec
import pytest

from balances.messages import AnyMovement, SetStatus, decode_movement
from billing.accounts import register as accounts
from billing.accounts.account import AccountStatus, Particulars, PaymentMode
from billing.customers import register as customers
from billing.customers.customer import Details
from billing.database import Connection, Pool
from billing.delivery import outbox
from billing.delivery.message import MessageKind
from billing.dunning import campaigns, processes
from billing.dunning.campaign import Action
from billing.errors import Conflict, InvalidInput, NotFound
from billing.invoices import drafts, lifecycle, settling
from billing.invoices.finalizing import finalize
from billing.invoices.invoice import Kind, NewInvoice
from billing.invoices.line import NewLine
from billing.payment_plans import register as plans
from billing.suspensions import register as suspensions
from billing.suspensions.register import Cause
from tests.billing.dunning.conftest import CAMPAIGN, ISSUED, Owe, Pay, due

OWED = 30_000_000


async def moved(conn: Connection) -> list[AnyMovement]:
    rows = await conn.fetch("SELECT movement FROM store_outbox ORDER BY sequence")
    return [decode_movement(row[0]) for row in rows]


async def statuses(conn: Connection) -> list[bool]:
    """What the store was told of the account's status: suspended, or not."""
    return [each.suspended for each in await moved(conn) if isinstance(each, SetStatus)]


async def look(conn: Connection, days: int) -> processes.Looked:
    return await processes.look_at(conn, "alice", due(days))


async def test_a_debt_is_dunned_to_the_suspension_and_each_step_comes_once(
    world: Connection, owe: Owe
) -> None:
    await owe()
    taken: dict[int, tuple[Action, ...]] = {}
    for days in range(60):
        for _ in range(2):
            looked = await look(world, days)
            if looked.taken:
                assert days not in taken
                taken[days] = looked.taken
    assert taken == {
        3: (Action.REMIND,),
        7: (Action.LATE_FEE,),
        14: (Action.SUSPEND, Action.REACTIVATION_FEE),
        45: (Action.TERMINATE,),
    }
    assert await statuses(world) == [True]
    process = await processes.get(world, "alice")
    assert (process.since, process.ended_at) == (date(2026, 3, 16), None)
    told = await processes.steps(world, process.process)
    assert [(each.action, each.skipped, each.holds) for each in told] == [
        (step.action, False, True) for step in CAMPAIGN.steps
    ]
    # the late fee has an invoice of its own, with tax
    [fee] = [each.invoice for each in told if each.action is Action.LATE_FEE]
    row = await world.fetchrow("SELECT status, net_micros FROM invoices WHERE invoice_id = $1", fee)
    assert row is not None
    assert tuple(row) == ("open", 5_000_000)


async def test_the_customer_is_told_of_each_step_once_and_in_their_language(
    world: Connection, owe: Owe
) -> None:
    details = Details(name="Alice", email="alice@example.net")
    await customers.create(world, "alice", details, now=ISSUED)
    await accounts.set_particulars(world, "alice", Particulars(customer="alice", language="de"))
    for _ in range(3):
        await owe()
    for days in (3, 3, 7, 14, 14):
        await look(world, days)
    suspended, fee, reminder = await outbox.list_(world, account="alice")
    assert [each.kind for each in (reminder, fee, suspended)] == [
        MessageKind.REMINDER, MessageKind.INVOICE, MessageKind.SUSPENSION,
    ]  # fmt: skip
    assert reminder.subject == "Nordlicht Internet GmbH: INV-2026-00001 ist überfällig"
    body: str = await world.fetchval(
        "SELECT body FROM mail_messages WHERE message_id = $1", reminder.message_id
    )
    assert "90,00\xa0EUR von INV-2026-00001 und 2 späteren" in body
    assert "seit 16.03.2026" in body
    assert await world.fetchval("SELECT count(*) FROM pgqueuer WHERE entrypoint = 'mail'") == 3


async def test_a_payment_restores_the_service_once_and_costs_the_reactivation_fee(
    world: Connection, owe: Owe, pay: Pay
) -> None:
    invoice = await owe()
    for days in (3, 14):
        await look(world, days)
    fees = "SELECT array_agg(net_micros ORDER BY invoice_id) FROM invoices WHERE invoice_id > $1"
    assert await world.fetchval(fees, invoice) == [5_000_000]
    # up to the threshold is enough
    await pay(invoice, OWED - 1_000_000, due(15))
    looked = await look(world, 15)
    assert (looked.restored, looked.ended, looked.taken) == (True, True, ())
    assert await statuses(world) == [True, False]
    assert await world.fetchval(fees, invoice) == [5_000_000, 10_000_000]
    assert (await processes.get(world, "alice")).ending == "cleared"
    again = await look(world, 16)
    assert (again.restored, again.taken) == (False, ())
    assert await statuses(world) == [True, False]


async def test_a_write_off_restores_the_service_too(world: Connection, owe: Owe) -> None:
    invoice = await owe()
    await look(world, 14)
    await lifecycle.mark_uncollectible(world, invoice, actor="test", now=due(20))
    assert (await look(world, 20)).restored
    assert (await accounts.get(world, "alice")).status is AccountStatus.ACTIVE


async def test_whom_staff_have_suspended_a_payment_does_not_restore(
    world: Connection, owe: Owe, pay: Pay
) -> None:
    invoice = await owe()
    await look(world, 14)
    await suspensions.suspend(world, "alice", Cause.STAFF, reason="abuse", actor="eve", now=due(15))
    await pay(invoice, OWED, due(16))
    await look(world, 16)
    assert (await accounts.get(world, "alice")).status is AccountStatus.SUSPENDED
    lifted = await suspensions.lift(
        world, "alice", Cause.STAFF, reason="talked", actor="eve", now=due(17)
    )
    assert lifted
    assert await statuses(world) == [True, False]


async def test_a_promise_postpones_what_is_to_come(world: Connection, owe: Owe) -> None:
    with pytest.raises(NotFound, match="alice is not dunned"):
        await processes.promise(world, "alice", due(30).date(), reason="", now=due(5))
    await owe()
    await look(world, 7)
    with pytest.raises(InvalidInput, match="allowed are days after"):
        await processes.promise(world, "alice", due(7).date(), reason="", now=due(7))
    promised = await processes.promise(world, "alice", due(25).date(), reason="called", now=due(8))
    assert (promised.promised_until, promised.promise) == (due(25).date(), "called")
    assert (await look(world, 24)).taken == ()
    # the 25th day after is a Friday
    assert (await look(world, 25)).taken == (Action.SUSPEND, Action.REACTIVATION_FEE)


async def test_the_excluded_are_not_dunned_and_those_who_become_so_are_restored(
    world: Connection, owe: Owe
) -> None:
    await owe()
    await look(world, 14)
    own = await campaigns.set_account(world, "alice", campaign=None, excluded=True, reason="VIP")
    assert (own.campaign, own.own, own.excluded) == ("standard", False, True)
    looked = await look(world, 20)
    assert (looked.restored, looked.ended) == (True, True)
    assert (await processes.get(world, "alice")).ending == "excluded"
    assert (await look(world, 50)).taken == ()


async def test_a_process_keeps_the_version_of_the_campaign_that_it_began_with(
    world: Connection, owe: Owe
) -> None:
    await owe()
    await look(world, 3)
    milder = msgspec.structs.replace(CAMPAIGN, steps=CAMPAIGN.steps[:1])
    assert (await campaigns.put(world, milder, now=due(4))).version == 2
    assert (await look(world, 14)).taken != ()
    assert (await processes.get(world, "alice")).campaign_version == 1


async def test_small_debts_and_accounts_without_a_campaign_are_let_be(
    world: Connection, owe: Owe
) -> None:
    await owe(1_000_000)
    assert (await look(world, 50)).taken == ()
    await owe()
    await world.execute("DELETE FROM dunning_default")
    assert (await look(world, 50)).taken == ()
    assert await processes.list_(world) == []
    with pytest.raises(NotFound, match="never dunned"):
        await processes.get(world, "alice")


async def test_all_accounts_are_looked_at_and_one_that_fails_holds_up_no_other(
    world: Connection, pool: Pool, owe: Owe
) -> None:
    for name in ("a", "b", "c"):
        await accounts.create(world, name, "EUR", PaymentMode.POSTPAID, now=due(-20))
        await owe(account=name)
    await world.execute("SET ROLE NONE")
    await world.execute(
        "ALTER TABLE dunning_processes ADD CONSTRAINT not_b CHECK (account_id <> 'b')"
    )
    seen: list[int] = []
    looked = await processes.look_at_all(pool, due(14), seen.append)
    assert [each.account for each in looked] == ["a", "c"]
    assert seen == [1, 2, 3]
    await world.execute("ALTER TABLE dunning_processes DROP CONSTRAINT not_b")
    looked = await processes.look_at_all(pool, due(14) + timedelta(hours=1))
    assert [each.account for each in looked] == ["b"]


async def test_looks_and_payments_at_once_leave_the_service_as_the_debt_is(
    world: Connection, pool: Pool, owe: Owe
) -> None:
    invoice = await owe()
    await look(world, 10)

    async def look_again() -> None:
        async with pool.acquire() as own:
            await processes.look_at(own, "alice", due(14))

    async def pay_all() -> None:
        async with pool.acquire() as own, own.transaction():
            await settling.pay(own, invoice, OWED, actor="test", now=due(14))

    await asyncio.gather(look_again(), look_again(), pay_all(), look_again())
    await look(world, 14)
    assert (await accounts.get(world, "alice")).status is AccountStatus.ACTIVE
    told = await statuses(world)
    assert told in ([], [True, False])


async def test_staff_may_lift_what_dunning_did_and_it_stays_lifted(
    world: Connection, owe: Owe, pay: Pay
) -> None:
    invoice = await owe()
    await look(world, 14)
    assert await suspensions.lift(
        world, "alice", Cause.DUNNING, reason="goodwill", actor="eve", now=due(15)
    )
    assert (await look(world, 20)).taken == ()
    await pay(invoice, OWED, due(21))
    assert (await look(world, 21)).ended
    with pytest.raises(Conflict, match="not suspended by dunning"):
        await suspensions.lift(world, "alice", Cause.DUNNING, reason="", actor="eve", now=due(22))


async def test_a_request_for_money_in_advance_is_no_debt(world: Connection) -> None:
    line = NewLine(description="Installation", unit_price_micros=OWED)
    new = NewInvoice(account="alice", kind=Kind.PROFORMA, lines=(line,), payment_days=14)
    proforma = await drafts.create(world, new, now=ISSUED)
    await finalize(world, proforma, actor="test", now=ISSUED)
    assert (await look(world, 30)).taken == ()
    with pytest.raises(Conflict, match="owes nothing"):
        await plans.create(
            world, "alice", number=2, first_due=due(31).date(), actor="x", now=due(30)
        )
    with pytest.raises(Conflict, match="a proforma is not paid"):
        async with world.transaction():
            await settling.InvoiceDocuments().take(world, proforma, "alice", 1_000_000, due(30))


async def test_a_debt_that_comes_back_is_dunned_again(
    world: Connection, owe: Owe, pay: Pay
) -> None:
    """The bank takes the payment of the older debt back while the later one is dunned."""
    old = await owe()
    await owe(payment_days=24)
    assert (await look(world, 14)).taken[-2:] == (Action.SUSPEND, Action.REACTIVATION_FEE)
    await pay(old, OWED, due(15))
    assert (await look(world, 15)).restored
    await pay(old, -OWED, due(16))
    assert Action.SUSPEND in (await look(world, 16)).taken
    assert (await accounts.get(world, "alice")).status is AccountStatus.SUSPENDED
    process = await processes.get(world, "alice")
    told = {each.action: each for each in await processes.steps(world, process.process)}
    assert (told[Action.SUSPEND].taken_on, told[Action.SUSPEND].holds) == (due(16).date(), True)
    fees = await world.fetchval("SELECT count(*) FROM invoice_items WHERE description = 'Late fee'")
    assert fees == 1


async def test_a_closed_account_is_reminded_until_it_has_paid(
    world: Connection, owe: Owe, pay: Pay
) -> None:
    invoice = await owe()
    assert (await look(world, 3)).taken == (Action.REMIND,)
    await accounts.set_status(world, "alice", AccountStatus.CLOSED, now=due(4))
    assert (await look(world, 14)).taken == ()
    await pay(invoice, OWED, due(15))
    assert (await look(world, 15)).ended
    assert (await accounts.get(world, "alice")).status is AccountStatus.CLOSED


async def test_only_a_service_that_is_restored_costs_its_fee(
    world: Connection, owe: Owe, pay: Pay
) -> None:
    invoice = await owe()
    await look(world, 14)
    await suspensions.suspend(world, "alice", Cause.STAFF, reason="abuse", actor="eve", now=due(15))
    fees = await world.fetchval("SELECT count(*) FROM invoices")
    await pay(invoice, OWED, due(16))
    await pay(invoice + 1, 5_950_000, due(16))
    looked = await look(world, 16)
    assert looked.ended
    assert not looked.restored
    assert await world.fetchval("SELECT count(*) FROM invoices") == fees
