"""Each report equals sums of the ledger, after any sequence of what can be done."""

import random
from collections import Counter
from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from billing.accounts.money import adjust, top_up
from billing.database import Connection
from billing.errors import Conflict, InvalidInput
from billing.invoices import drafts, lifecycle
from billing.invoices.finalizing import finalize
from billing.invoices.invoice import NewInvoice
from billing.ledger.chart import Ledger
from billing.payments.payment import Method
from billing.payments.register import NewPayment, receive
from billing.reports.making import Asked, Name, make
from billing.settlement.consumer import Settler
from tests.billing.invoices.books import ledger
from tests.billing.invoices.conftest import books, business, desk, settler, worker
from tests.billing.invoices.making import BUYER, LATER, NOW, asked
from tests.billing.invoices.test_finalizing import settle
from tests.billing.settlement.making import EVENT
from tests.billing.settlement.worker import Worker, interim
from tests.billing.settlement.world import Desk

__all__ = ["books", "business", "desk", "settler", "worker"]

UTC = ZoneInfo("UTC")


async def all_time(conn: Connection) -> Asked:
    """From before all of it to after: usage is settled by the clock of the database."""
    last: date = await conn.fetchval("SELECT (now() AT TIME ZONE 'UTC')::date + 1")
    return Asked(min(last, NOW.date()) - timedelta(days=1), max(last, date(2026, 3, 16)), UTC, NOW)


async def rows(conn: Connection, name: Name) -> list[Mapping[str, Any]]:
    made = await make(conn, name, await all_time(conn))
    return [dict(zip(made.columns, row, strict=True)) for row in made.rows]


async def total(conn: Connection, name: Name, column: str = "amount_micros") -> int:
    return sum(row[column] for row in await rows(conn, name))


async def prove(conn: Connection) -> None:
    """The reports add up to the ledger."""
    there = await ledger(conn)
    journal = Counter[str]()
    for row in await rows(conn, Name.JOURNAL):
        journal[row["ledger"]] += row["debit_micros"] - row["credit_micros"]
    assert {k: v for k, v in journal.items() if v} == {k.name.lower(): v for k, v in there.items()}
    assert await total(conn, Name.REVENUE) == -there.get(Ledger.REVENUE, 0)
    assert await total(conn, Name.TAX) == -there.get(Ledger.TAX, 0)
    for row in await rows(conn, Name.RECEIVABLES):
        of_account = await ledger(conn, row["account"])
        assert row["total_micros"] == of_account[Ledger.RECEIVABLE]
        ages = ("not_due", "to_30", "to_60", "to_90", "over_90")
        assert row["total_micros"] == sum(row[f"{age}_micros"] for age in ages)
    assert await total(conn, Name.RECEIVABLES, "total_micros") == there.get(Ledger.RECEIVABLE, 0)
    charged = await conn.fetchval("SELECT coalesce(sum(charged_micros), 0) FROM usage_records")
    assert await total(conn, Name.USAGE_LEADERS, "charged_micros") == charged
    for row in await rows(conn, Name.DEFERRED):
        assert 0 <= row["deferred_micros"] <= row["net_micros"]


@pytest.mark.parametrize("seed", range(3))
async def test_after_any_sequence_each_report_adds_up_to_the_ledger(
    conn: Connection, desk: Desk, worker: Worker, settler: Settler, seed: int
) -> None:
    chance = random.Random(seed)
    await desk.open_account("anna", postpaid=True, users=["anna"])
    await desk.open_account("bob", postpaid=True, users=["bob"])
    octets = 0
    actions = ["use", "draft", "fee", "finalize", "finalize", "pay", "void", "write off", "adjust"]
    for step in range(30):
        action, who = chance.choice(actions), chance.choice(["anna", "bob"])
        ids = [row[0] for row in await conn.fetch("SELECT invoice_id FROM invoices")]
        chosen = chance.choice(ids) if ids else 0
        micros = chance.randrange(1, 5000) * 10_000
        try:
            if action == "use":
                octets += chance.randrange(1, 10**9)
                await worker.report(interim(f"s-{who}", who, EVENT + step, octets))
                await settle(settler)
            elif action == "draft":
                new = NewInvoice(account=who, usage=True, buyer=BUYER)
                await drafts.create(conn, new, until=LATER, now=NOW)
            elif action == "fee":
                days = NOW - timedelta(days=chance.randrange(200))
                draft = await drafts.create(conn, asked(who), until=LATER, now=days)
                await finalize(conn, draft, actor="test", now=NOW)
            elif action == "finalize" and ids:
                await finalize(conn, chosen, actor="test", now=NOW)
            elif action == "pay":
                new_payment = NewPayment(who, micros, Method.CASH)
                await receive(conn, new_payment, actor="test", now=NOW)
            elif action == "void" and ids:
                await lifecycle.void(conn, chosen, actor="test", now=NOW)
            elif action == "write off" and ids:
                await lifecycle.mark_uncollectible(conn, chosen, actor="test", now=NOW)
            elif action == "adjust":
                await adjust(conn, who, micros, actor="test", reason="x", now=NOW)
        except Conflict:
            pass
        if step % 10 == 9:
            await prove(conn)
    await settle(settler)
    await prove(conn)


async def test_money_that_leaks_is_told(
    conn: Connection, desk: Desk, worker: Worker, settler: Settler
) -> None:
    await desk.open_account("carl", 1_000_000, users=["carl"])
    await worker.report(interim("s1", "carl", EVENT, 10**10))
    await settle(settler)
    charged = await total(conn, Name.USAGE_LEADERS, "charged_micros")
    assert charged > 1_000_000
    [leak] = await rows(conn, Name.LEAKAGE)
    assert leak == {
        "leak": "overspend",
        "subject": "carl",
        "currency": "EUR",
        "cases": 1,
        "amount_micros": charged - 1_000_000,
    }


async def test_a_period_is_bounded_and_late_postings_are_of_the_day_they_are_made(
    conn: Connection, desk: Desk
) -> None:
    await desk.open_account("dora", users=["dora"])
    before = Asked(NOW.date() - timedelta(days=9), NOW.date(), UTC, NOW)
    closed = await make(conn, Name.JOURNAL, before)
    await top_up(conn, "dora", 1_000_000, actor="test", now=NOW)
    assert await make(conn, Name.JOURNAL, before) == closed
    for first, until in ((NOW.date(), NOW.date()), (date(2020, 1, 1), NOW.date())):
        with pytest.raises(InvalidInput, match="allowed are 1 to 800 days"):
            await make(conn, Name.TAX, Asked(first, until, UTC, NOW))
