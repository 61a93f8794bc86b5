"""The statement of a period: its lines lead from the opening balance to the closing one."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from billing.accounts import money, register
from billing.database import Connection
from billing.errors import InvalidInput
from billing.ledger import journal
from billing.ledger.chart import Ledger
from billing.ledger.period import period
from billing.ledger.statement import balance
from billing.ledger.transaction import Kind, Posting, Transaction, transfer

VIENNA = ZoneInfo("Europe/Vienna")


async def used(conn: Connection, micros: int, at: datetime) -> None:
    postings = (
        Posting(Ledger.CUSTOMER_CREDIT, "alice", "EUR", micros),
        Posting(Ledger.REVENUE, None, "EUR", -micros),
    )
    await journal.write(conn, Transaction(Kind.USAGE, None, "usage", "settlement", postings), at)


async def test_days_are_those_of_the_zone_and_usage_is_a_line_a_day(conn: Connection) -> None:
    await register.create(conn, "alice", "EUR", now=datetime(2026, 3, 1, tzinfo=UTC))
    # 23:30 UTC on the 14th is the 15th in Vienna.
    late = datetime(2026, 3, 14, 23, 30, tzinfo=UTC)
    await money.top_up(conn, "alice", 100, actor="staff", now=late - timedelta(hours=2))
    await used(conn, 5, late)
    await used(conn, 7, late + timedelta(hours=3))
    await used(conn, 1, late + timedelta(days=1))
    made = await period(conn, "alice", date(2026, 3, 15), date(2026, 3, 16), VIENNA)
    assert (made.opening_micros, made.closing_micros) == (100, 88)
    [line] = made.lines
    assert (line.kind, line.amount_micros, line.balance_micros) == (Kind.USAGE, -12, 88)
    assert line.transaction_id is None
    after = await period(conn, "alice", date(2026, 3, 16), date(2026, 3, 17), VIENNA)
    assert (after.opening_micros, after.closing_micros) == (88, 87)


async def test_what_moves_within_an_account_is_no_line(conn: Connection, now: datetime) -> None:
    await register.create(conn, "alice", "EUR", now=now)
    made = transfer(
        Kind.ALLOCATION,
        "alice",
        "EUR",
        5,
        debit=Ledger.CUSTOMER_CREDIT,
        credit=Ledger.RECEIVABLE,
        actor="staff",
        description="",
    )
    await journal.write(conn, made, now)
    found = await period(conn, "alice", date(2026, 3, 1), date(2026, 4, 1), VIENNA)
    assert (found.opening_micros, found.closing_micros, found.lines) == (0, 0, [])


async def test_an_empty_period_is_refused(conn: Connection) -> None:
    with pytest.raises(InvalidInput, match="a later end"):
        await period(conn, "alice", date(2026, 3, 2), date(2026, 3, 2), VIENNA)


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.lists(
        st.tuples(st.integers(0, 20 * 24 * 60), st.integers(-500, 500).filter(bool)), max_size=8
    ),
    st.sampled_from(["UTC", "Europe/Vienna", "Pacific/Kiritimati", "America/St_Johns"]),
    st.integers(1, 25),
)
async def test_periods_that_follow_each_other_leave_nothing_out(
    conn: Connection, moves: list[tuple[int, int]], zone: str, cut: int
) -> None:
    transaction = conn.transaction(isolation="repeatable_read")
    await transaction.start()
    try:
        begin = datetime(2026, 3, 3, tzinfo=UTC)
        await register.create(conn, "alice", "EUR", now=begin)
        for minutes, micros in moves:
            await used(conn, micros, begin + timedelta(minutes=minutes))
        first, last = date(2026, 3, 1), date(2026, 4, 1)
        middle = first + timedelta(days=cut)
        zoned = ZoneInfo(zone)
        earlier = await _lines(conn, first, middle, zoned)
        later = await _lines(conn, middle, last, zoned)
        assert earlier[1] == later[0]
        assert (earlier[0], later[1]) == (0, await balance(conn, "alice"))
    finally:
        await transaction.rollback()


async def _lines(conn: Connection, first: date, until: date, zone: ZoneInfo) -> tuple[int, int]:
    made = await period(conn, "alice", first, until, zone)
    total = made.opening_micros + sum(line.amount_micros for line in made.lines)
    assert total == made.closing_micros
    return made.opening_micros, made.closing_micros
