"""docs/billing.md: each case is posted as its table of postings says."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path

import pytest

from billing.accounts import money
from billing.database import Connection
from billing.ledger.statement import balance
from billing.payments import allocation, chargebacks
from billing.payments.chargebacks import ChargebackStatus
from billing.payments.payment import Method
from billing.payments.refunds import refund
from billing.payments.register import NewPayment, receive
from billing.vouchers import batches
from billing.vouchers.redeeming import redeem
from tests.billing.payments.conftest import Bills

AMOUNT = 4_000_000
GUIDE = Path(__file__).parents[3] / "docs" / "billing.md"


def table() -> dict[str, tuple[str, str, str]]:
    """Debit, credit and effect by case, from the guide."""
    text = GUIDE.read_text(encoding="utf-8").partition("## How each case is posted")[2]
    text = text.partition("\n## ")[0]
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    return {case: (debit, credit, effect) for case, debit, credit, effect in rows[1:]}


class Counter:
    """Staff at work on alice's payments; each case is what one of them is about."""

    def __init__(self, conn: Connection, bills: Bills, now: datetime) -> None:
        self.conn = conn
        self.bills = bills
        self.now = now
        bills.open[7] = AMOUNT

    async def pay(self) -> int:
        new = NewPayment("alice", AMOUNT, Method.CARD)
        return (await receive(self.conn, new, actor="a", now=self.now)).payment.payment_id

    async def voucher(self) -> None:
        made = await batches.create(
            self.conn, currency="EUR", amount_micros=AMOUNT, vouchers=1, actor="a", now=self.now
        )
        await redeem(self.conn, "alice", made.codes[0], actor="a", now=self.now)

    async def put(self, payment: int) -> int:
        put = await allocation.allocate(
            self.conn, payment, "invoice", 7, AMOUNT, self.bills, actor="a", now=self.now
        )
        return put.allocation_id

    async def take_off(self, allocated: int) -> None:
        await allocation.release(self.conn, allocated, self.bills, actor="a", now=self.now)

    async def refund(self, payment: int) -> None:
        await refund(self.conn, payment, reason="r", actor="a", now=self.now)

    async def dispute(self, payment: int) -> int:
        opened = await chargebacks.open_(
            self.conn, payment, reference="bank 1", actor="a", now=self.now
        )
        return opened.chargeback_id

    async def close(self, chargeback: int, status: ChargebackStatus, fee: int = 0) -> None:
        await chargebacks.close(
            self.conn,
            chargeback,
            status,
            {"invoice": self.bills},
            fee_micros=fee,
            actor="a",
            now=self.now,
        )

    async def adjust(self, micros: int) -> None:
        await money.adjust(self.conn, "alice", micros, reason="r", actor="a", now=self.now)

    # What comes before each case, and the case.

    async def prepare(self, case: str) -> Callable[[], Awaitable[object]]:
        """Do what a case follows on, and return the case."""
        match case:
            case "payment":
                return self.pay
            case "voucher redeemed":
                return self.voucher
            case "adjustment upwards":
                return lambda: self.adjust(AMOUNT)
            case _:
                return await self._prepare_paid(case, await self.pay())

    async def _prepare_paid(self, case: str, payment: int) -> Callable[[], Awaitable[object]]:
        match case:
            case "payment put on an invoice":
                return lambda: self.put(payment)
            case "payment taken off an invoice":
                allocated = await self.put(payment)
                return lambda: self.take_off(allocated)
            case "refund":
                return lambda: self.refund(payment)
            case "adjustment downwards":
                return lambda: self.adjust(-AMOUNT)
            case "chargeback opened":
                return lambda: self.dispute(payment)
            case _:
                return self._prepare_disputed(case, await self.dispute(payment))

    def _prepare_disputed(self, case: str, disputed: int) -> Callable[[], Awaitable[object]]:
        match case:
            case "chargeback won":
                return lambda: self.close(disputed, ChargebackStatus.WON)
            case "chargeback lost":
                return lambda: self.close(disputed, ChargebackStatus.LOST)
            case _:
                assert case == "fee of a chargeback", case
                return lambda: self.close(disputed, ChargebackStatus.WON, AMOUNT)


def test_the_guide_has_its_table() -> None:
    assert len(table()) == 11


@pytest.mark.parametrize("case", table())
async def test_a_case_is_posted_as_the_guide_says(
    conn: Connection, bills: Bills, now: datetime, case: str
) -> None:
    do = await Counter(conn, bills, now).prepare(case)
    before = await balance(conn, "alice")
    known: int = await conn.fetchval("SELECT count(*) FROM billing_transactions")
    await do()
    posted = await conn.fetch(
        "SELECT name, amount_micros FROM ledger_postings JOIN ledgers USING (ledger)"
        " WHERE transaction_id = (SELECT max(transaction_id) FROM billing_transactions)"
        " ORDER BY amount_micros DESC"
    )
    assert [row["amount_micros"] for row in posted] == [AMOUNT, -AMOUNT]
    change = await balance(conn, "alice") - before
    effect = {AMOUNT: "+", 0: "0", -AMOUNT: "-"}[change]
    assert (posted[0]["name"], posted[1]["name"], effect) == table()[case]
    made = await conn.fetchval("SELECT count(*) FROM billing_transactions") - known
    assert made == (2 if case == "fee of a chargeback" else 1)
