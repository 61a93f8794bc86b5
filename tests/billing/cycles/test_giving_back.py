"""A bill that comes to less than nothing gives back by credit notes, to the cent."""

from datetime import timedelta

from billing.credit_notes import reading
from billing.cycles import parking, run
from billing.database import Connection, Pool
from billing.ledger.statement import balance
from billing.services import register as services
from tests.billing.cycles.conftest import BEGIN, Subscribe


async def test_a_cancellation_credits_the_unused_part_with_its_tax(
    world: Connection, pool: Pool, subscribe: Subscribe
) -> None:
    service = await subscribe("a", "large")
    await run.run(pool, at=BEGIN, actor="test", now=BEGIN)
    owed = await balance(world, "a")
    assert owed == -73_780_000  # 62.00 and 19 %
    end = BEGIN + timedelta(days=20)
    await services.cancel(world, service, reason="moved", actor="staff", now=end)
    assert (await run.run(pool, at=end, actor="test", now=end)).billed == 1
    [row] = await world.fetch("SELECT credit_note_id FROM credit_notes")
    note = await reading.get(world, row[0])
    # 11 of 31 days are 22.00; 20 days of rent in arrears are invoiced beside it
    assert (note.net_micros, note.tax_micros) == (22_000_000, 4_180_000)
    assert note.number == "CN-2026-00001"
    rent = 2_380_000
    assert await balance(world, "a") == owed + 26_180_000 - rent
    assert (await run.run_account(world, "a", actor="test", now=end)).billed == 0
    assert await world.fetchval("SELECT sum(amount_micros) FROM ledger_postings") == 0


async def test_what_is_on_a_draft_has_to_be_decided_first(
    world: Connection, pool: Pool, subscribe: Subscribe
) -> None:
    service = await subscribe("a", "large")
    await world.execute("UPDATE billing_schedules SET needs_approval = true")
    await run.run(pool, at=BEGIN, actor="test", now=BEGIN)
    end = BEGIN + timedelta(days=20)
    await services.cancel(world, service, reason="moved", actor="staff", now=end)
    assert (await run.run(pool, at=end, actor="test", now=end)).parked == 1
    [parked] = await parking.list_(world)
    assert "is a draft: finalize or delete it" in parked.reason
