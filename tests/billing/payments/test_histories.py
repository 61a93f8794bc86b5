"""Random histories of payments, on a real database, beside a model of a few integers."""

import asyncio
from collections.abc import Coroutine
from datetime import UTC, datetime
from typing import Any, TypeVar

import asyncpg
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from billing.accounts import money
from billing.accounts import register as accounts
from billing.database import prepare
from billing.errors import BillingError, Conflict
from billing.ledger.statement import balance
from billing.payments import allocation, chargebacks, documents, refunds
from billing.payments.payment import Method, PaymentStatus
from billing.payments.register import NewPayment, conclude, get, receive
from tests.billing.payments.conftest import Bills
from tests.support.servers import DatabaseServer, fresh_database

NOW = datetime(2026, 3, 14, 15, 9, 26, tzinfo=UTC)
CENT = 10_000
amounts = st.integers(1, 2_000).map(lambda cents: cents * CENT)
Result = TypeVar("Result")
NONE: MultipleResults[int] = multiple()


class Histories(RuleBasedStateMachine):
    """One account with a credit limit of 5 EUR, and what staff and banks do to it."""

    server: DatabaseServer
    template: str
    limit = 5_000_000

    payments = Bundle("payments")
    disputes = Bundle("disputes")

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.database = fresh_database(self.server, self.template)
        self.conn = self.run(self.connect(self.database.__enter__()))
        self.bills = Bills()
        self.expected = 0
        self.billed = 0

    async def connect(self, url: str) -> "asyncpg.Connection[asyncpg.Record]":
        conn: asyncpg.Connection[asyncpg.Record] = await asyncpg.connect(url)
        await prepare(conn)
        await accounts.create(conn, "alice", "EUR", credit_limit_micros=self.limit, now=NOW)
        return conn

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        return self.loop.run_until_complete(work)

    def attempted(self, work: Coroutine[Any, Any, Result]) -> Result | None:
        try:
            return self.run(work)
        except Conflict:
            return None

    def teardown(self) -> None:
        self.run(self.conn.close())
        self.loop.close()
        self.database.__exit__(None, None, None)

    @initialize()
    def bill(self) -> None:
        self.bills.open = {1: 3_000_000, 2: 12_340_000, 3: 990_000}
        self.billed = sum(self.bills.open.values())

    @rule(
        target=payments,
        micros=amounts,
        key=st.sampled_from([None, "a", "b"]),
        status=st.sampled_from([PaymentStatus.SUCCEEDED, PaymentStatus.PENDING]),
    )
    def pay(self, micros: int, key: str | None, status: PaymentStatus) -> Any:
        new = NewPayment("alice", micros, Method.CARD, status=status, key=key)
        done = self.attempted(receive(self.conn, new, actor="x", now=NOW))
        if done is None:
            return NONE
        if not done.repeated and status is PaymentStatus.SUCCEEDED:
            self.expected += micros
        return done.payment.payment_id

    @rule(payment=payments, status=st.sampled_from(PaymentStatus))
    def hear(self, payment: int, status: PaymentStatus) -> None:
        before = self.run(get(self.conn, payment))
        after = self.attempted(conclude(self.conn, payment, status, actor="x", now=NOW))
        if after is not None and before.status is not after.status and after.settled_at:
            self.expected += after.amount_micros

    @rule(payment=payments, micros=st.none() | amounts)
    def refund(self, payment: int, micros: int | None) -> None:
        before = self.run(get(self.conn, payment))
        done = self.attempted(
            refunds.refund(self.conn, payment, micros, reason="r", actor="x", now=NOW)
        )
        if done is not None:
            self.expected -= done.refund.amount_micros
            assert done.refund.amount_micros <= before.refundable_micros
            assert self.expected >= -self.limit

    @rule(payment=payments, bill=st.integers(1, 3), micros=amounts)
    def allocate(self, payment: int, bill: int, micros: int) -> None:
        self.attempted(
            allocation.allocate(
                self.conn, payment, "invoice", bill, micros, self.bills, actor="x", now=NOW
            )
        )

    @rule(payment=payments)
    def allocate_oldest(self, payment: int) -> None:
        self.run(
            allocation.allocate_oldest(
                self.conn, payment, "invoice", self.bills, actor="x", now=NOW
            )
        )

    @rule(payment=payments)
    def release(self, payment: int) -> None:
        for each in self.run(documents.of_payment(self.conn, payment)):
            if each.held_micros:
                number = each.allocation_id
                self.run(allocation.release(self.conn, number, self.bills, actor="x", now=NOW))

    @rule(
        target=disputes,
        payment=payments,
        micros=st.none() | amounts,
        reference=st.sampled_from(["c1", "c2"]),
    )
    def dispute(self, payment: int, micros: int | None, reference: str) -> Any:
        found = self.attempted(
            chargebacks.open_(self.conn, payment, micros, reference=reference, actor="x", now=NOW)
        )
        return NONE if found is None else found.chargeback_id

    @rule(dispute=disputes, lost=st.booleans(), fee=st.sampled_from([0, 15_000_000]))
    def decide(self, dispute: int, lost: bool, fee: int) -> None:
        before = self.run(chargebacks.get(self.conn, dispute))
        status = chargebacks.ChargebackStatus("lost" if lost else "won")
        done = self.attempted(
            chargebacks.close(
                self.conn,
                dispute,
                status,
                {"invoice": self.bills},
                fee_micros=fee,
                actor="x",
                now=NOW,
            )
        )
        if done is not None and lost and before.status is not done.status:
            self.expected -= done.amount_micros

    @rule(micros=amounts, sign=st.sampled_from([1, -1]))
    def adjust(self, micros: int, sign: int) -> None:
        try:
            self.run(
                money.adjust(self.conn, "alice", sign * micros, reason="r", actor="x", now=NOW)
            )
        except BillingError:
            assert sign < 0
            assert self.expected - micros < -self.limit
        else:
            self.expected += sign * micros

    @invariant()
    def the_books_are_right(self) -> None:
        self.run(self._check())

    async def _check(self) -> None:
        sums = await self.conn.fetch(
            "SELECT ledger, sum(amount_micros)::bigint AS micros FROM ledger_postings GROUP BY 1"
        )
        by_ledger = {row["ledger"]: row["micros"] for row in sums}
        assert sum(by_ledger.values()) == 0
        assert await balance(self.conn, "alice") == self.expected
        on_the_road = await self.conn.fetchval(
            "SELECT coalesce(sum((movement ->> 'amount')::bigint), 0)::bigint FROM store_outbox"
        )
        assert on_the_road == self.expected
        paid = self.billed - sum(self.bills.open.values())
        assert by_ledger.get(21, 0) == -paid
        row = await self.conn.fetchrow(
            "SELECT sum(amount_micros - released_micros)::bigint AS held,"
            " (SELECT sum(allocated_micros)::bigint FROM payments) AS allocated,"
            " (SELECT sum(disputed_micros)::bigint FROM payments) AS disputed"
            " FROM payment_allocations"
        )
        assert row is not None
        assert (row["held"] or 0) == (row["allocated"] or 0) == paid
        assert by_ledger.get(12, 0) == (row["disputed"] or 0)


def test_random_histories(database_server: DatabaseServer, database_template: str) -> None:
    Histories.server, Histories.template = database_server, database_template
    run_state_machine_as_test(
        Histories,
        settings=settings(
            max_examples=8,
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        ),
    )


@pytest.fixture(autouse=True)
def alice() -> None:
    """Not this one: each history has its own database."""
