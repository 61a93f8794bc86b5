"""Accounts with services, to be billed."""

from collections.abc import Awaitable, Callable
from datetime import date, datetime

import pytest

from billing.accounts import register as accounts
from billing.accounts.account import PaymentMode
from billing.cycles import schedule
from billing.cycles.calendar import Alignment, Unit
from billing.database import Connection
from billing.offers import register as offers
from billing.offers.offer import Offer, OneOffCharge, RecurringCharge, Timing
from billing.services import register as services
from tests.billing.conftest import NOW
from tests.billing.invoices.making import open_business

#: On the first of a month, when the accounts of these tests begin.
BEGIN = datetime.fromisoformat("2026-03-01T08:00:00+00:00")

SMALL = Offer(
    name="small",
    version=1,
    currency="EUR",
    recurring=(RecurringCharge(code="access", description="Access", amount_micros=31_000_000),),
    one_off=(OneOffCharge(code="setup", description="Set-up", amount_micros=50_000_000),),
)
LARGE = Offer(
    name="large",
    version=1,
    currency="EUR",
    recurring=(
        RecurringCharge(code="access", description="Access large", amount_micros=62_000_000),
        RecurringCharge(
            code="rent", description="Rent", amount_micros=3_100_000, timing=Timing.ARREARS
        ),
    ),
)
AT_LEAST = Offer(name="at-least", version=1, currency="EUR", minimum_micros=31_000_000)

Subscribe = Callable[..., Awaitable[int]]


@pytest.fixture
async def world(conn: Connection) -> Connection:
    """A database with offers."""
    await conn.execute("SELECT ensure_partitions($1, 14)", NOW)
    await offers.load_offers(conn, [SMALL, LARGE, AT_LEAST], BEGIN)
    await open_business(conn)
    return conn


@pytest.fixture
def subscribe(world: Connection) -> Subscribe:
    """Give an account (made if it is not there) a service, started on a day; return its number."""

    async def give(account: str, offer: str = "small", on: date | None = None) -> int:
        if (
            await world.fetchval(
                "SELECT 1 FROM customer_billing_accounts WHERE account_id = $1", account
            )
            is None
        ):
            await accounts.create(world, account, "EUR", PaymentMode.POSTPAID, now=BEGIN)
            async with world.transaction():
                await schedule.set_cycle(
                    world, account, unit=Unit.MONTH, alignment=Alignment.CALENDAR, now=BEGIN
                )
        entry = await services.order(world, account, offer, actor="staff", now=BEGIN)
        await services.start(world, entry.service, on=on, actor="staff", now=BEGIN)
        return entry.service

    return give
