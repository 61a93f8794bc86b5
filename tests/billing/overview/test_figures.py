"""Figures are the ledger's: parts add up to balances, and statistics to their change."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from billing.accounts import money, register
from billing.accounts.account import AccountStatus, Particulars, PaymentMode
from billing.customers import register as customers
from billing.customers.customer import Details
from billing.database import Connection
from billing.errors import InvalidInput
from billing.ledger import journal
from billing.ledger.chart import Ledger
from billing.ledger.statement import balance
from billing.ledger.transaction import Kind, Posting, Transaction
from billing.overview.figures import Step, customer_summary, overview, statistics
from billing.payments.payment import Method, PaymentStatus
from billing.payments.refunds import refund
from billing.payments.register import NewPayment, receive

UTC_ZONE = ZoneInfo("UTC")


async def trade(conn: Connection, now: datetime) -> None:
    """Two accounts of one customer, and what they do."""
    await customers.create(conn, "acme", Details(name="Acme"), now=now)
    await register.create(conn, "pre", "EUR", particulars=Particulars(customer="acme"), now=now)
    await register.create(
        conn,
        "post",
        "EUR",
        PaymentMode.POSTPAID,
        credit_limit_micros=10**9,
        particulars=Particulars(customer="acme"),
        now=now,
    )
    await register.create(conn, "yen", "JPY", now=now)
    paid = await receive(conn, NewPayment("pre", 9_000_000, Method.CARD), actor="a", now=now)
    pending = NewPayment("pre", 1_000_000, Method.CARD, PaymentStatus.PENDING)
    await receive(conn, pending, actor="a", now=now)
    await refund(conn, paid.payment.payment_id, 2_000_000, reason="r", actor="a", now=now)
    await money.adjust(conn, "pre", 500, reason="r", actor="a", now=now + timedelta(days=1))
    postings = (
        Posting(Ledger.CUSTOMER_CREDIT, "pre", "EUR", 30),
        Posting(Ledger.UNBILLED_USAGE, "post", "EUR", 70),
        Posting(Ledger.REVENUE, None, "EUR", -100),
    )
    await journal.write(conn, Transaction(Kind.USAGE, None, "usage", "settlement", postings), now)


async def test_the_overview_is_the_ledger(conn: Connection, now: datetime) -> None:
    await trade(conn, now)
    euro, yen = await overview(conn, now)
    assert (euro.currency, yen.currency) == ("EUR", "JPY")
    assert euro.balance_micros == await balance(conn, "pre") + await balance(conn, "post")
    assert (euro.credit_micros, euro.unbilled_micros) == (7_000_470, 70)
    assert euro.revenue_micros == 100
    assert sum(euro.ledgers_micros.values()) == 0
    assert euro.accounts == sum(euro.accounts_by_status.values()) == 2
    assert euro.accounts_by_status[AccountStatus.ACTIVE] == 2
    assert euro.accounts_by_mode == {PaymentMode.PREPAID: 1, PaymentMode.POSTPAID: 1}
    assert euro.today[PaymentStatus.SUCCEEDED].micros == 9_000_000
    assert euro.today[PaymentStatus.PENDING].payments == 1
    assert (yen.accounts, yen.balance_micros, yen.today) == (1, 0, {})


async def test_a_customer_is_summed_up_by_account(conn: Connection, now: datetime) -> None:
    await trade(conn, now)
    post, pre = await customer_summary(conn, "acme")
    assert pre.balance_micros == await balance(conn, "pre")
    assert post.balance_micros == await balance(conn, "post") == -70
    assert (pre.paid_micros, pre.returned_micros) == (9_000_000, 2_000_000)
    assert (pre.last_payment_at, post.last_payment_at) == (now, None)
    assert await customer_summary(conn, "nobody") == []


async def test_statistics_add_up_to_the_change_of_all_balances(
    conn: Connection, now: datetime
) -> None:
    await trade(conn, now)
    first, until = date(2026, 3, 1), date(2026, 4, 1)
    for step in Step:
        found = await statistics(conn, first, until, step, UTC_ZONE)
        assert sum(each.micros for each in found) == (await overview(conn, now))[0].balance_micros
    days = await statistics(conn, first, until, Step.DAY, UTC_ZONE)
    assert [(each.starts_on.day, each.kind, each.micros) for each in days] == [
        (14, Kind.PAYMENT, 9_000_000),
        (14, Kind.REFUND, -2_000_000),
        (14, Kind.USAGE, -100),
        (15, Kind.ADJUSTMENT, 500),
    ]
    assert now.astimezone(UTC).date().day == 14


async def test_a_period_has_bounds(conn: Connection) -> None:
    for until in (date(2026, 3, 1), date(2029, 1, 1)):
        with pytest.raises(InvalidInput, match="1 to 800 days"):
            await statistics(conn, date(2026, 3, 1), until, Step.DAY, UTC_ZONE)
