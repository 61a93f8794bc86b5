"""Accounts that owe something, and what is done about it."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import pytest

from billing.accounts import register as accounts
from billing.accounts.account import PaymentMode
from billing.accounts.register import lock
from billing.database import Connection
from billing.dunning import campaigns
from billing.dunning.campaign import Action, Campaign, Step
from billing.invoices import drafts, settling
from billing.invoices.finalizing import finalize
from billing.invoices.invoice import NewInvoice
from billing.invoices.line import NewLine
from tests.billing.invoices.making import open_business

#: A Monday; an invoice of that day is due on the 16th, a Monday too.
ISSUED = datetime(2026, 3, 2, 12, tzinfo=UTC)
PAYMENT_DAYS = 14

CAMPAIGN = Campaign(
    name="standard",
    steps=(
        Step(3, Action.REMIND),
        Step(7, Action.LATE_FEE, {"EUR": 5_000_000}),
        Step(14, Action.SUSPEND),
        Step(14, Action.REACTIVATION_FEE, {"EUR": 10_000_000}),
        Step(45, Action.TERMINATE),
    ),
    threshold_micros={"EUR": 1_000_000},
)

Owe = Callable[..., Awaitable[int]]
Pay = Callable[..., Awaitable[None]]


def due(days: int) -> datetime:
    """So many days after the invoices of ISSUED were due."""
    return ISSUED + timedelta(days=PAYMENT_DAYS + days)


@pytest.fixture
async def world(conn: Connection) -> Connection:
    """A seller, the account "alice", and the default campaign."""
    await open_business(conn)
    await conn.execute("SELECT ensure_partitions($1, 6)", ISSUED)
    await accounts.create(conn, "alice", "EUR", PaymentMode.POSTPAID, now=ISSUED)
    await campaigns.put(conn, CAMPAIGN, default=True, now=ISSUED)
    await conn.execute("DELETE FROM store_outbox")
    return conn


@pytest.fixture
def owe(world: Connection) -> Owe:
    """Invoice an amount (micros, tax included) and return the invoice."""

    async def invoice(
        micros: int = 30_000_000, account: str = "alice", payment_days: int = PAYMENT_DAYS
    ) -> int:
        line = NewLine(description="Fee", unit_price_micros=micros, inclusive=True)
        new = NewInvoice(account=account, lines=(line,), payment_days=payment_days)
        number = await drafts.create(world, new, now=ISSUED)
        await finalize(world, number, actor="test", now=ISSUED)
        return number

    return invoice


@pytest.fixture
def pay(world: Connection) -> Pay:
    """Pay an amount on an invoice."""

    async def money(invoice: int, micros: int, at: datetime, account: str = "alice") -> None:
        async with world.transaction():
            await lock(world, account)
            await settling.pay(world, invoice, micros, actor="test", now=at)

    return money
