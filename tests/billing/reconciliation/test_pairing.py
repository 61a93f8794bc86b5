"""Lines become payments, each once; and pairings are undone, so that the books are as if not."""

import asyncio

import pytest

from billing.accounts.money import top_up
from billing.database import Connection, Pool
from billing.errors import Conflict, InvalidInput
from billing.invoices import reading
from billing.invoices.invoice import Status
from billing.invoices.settling import InvoiceDocuments
from billing.ledger.statement import balance
from billing.payments import register as payments
from billing.payments.refunds import refund
from billing.reconciliation import line, pairing
from billing.reconciliation.line import State
from billing.reconciliation.pairing import Processed, preview, process
from tests.billing.invoices.making import NOW, asked
from tests.billing.invoices.test_finalizing import issue
from tests.billing.reconciliation.bank import Booked, camt
from tests.billing.reconciliation.conftest import TOTAL, bring, cash

pytestmark = pytest.mark.usefixtures("business")

INVOICES = InvoiceDocuments()
BY = "clerk"


async def done(conn: Connection, **more: int) -> Processed:
    return await process(conn, INVOICES, actor=BY, now=NOW, **more)


async def pair(conn: Connection, line_id: int, account: str, *invoices: int) -> line.KeptLine:
    return await pairing.pair(conn, line_id, account, invoices, INVOICES, actor=BY, now=NOW)


async def unpair(conn: Connection, line_id: int) -> line.KeptLine:
    return await pairing.unpair(conn, line_id, INVOICES, reason="wrong", actor=BY, now=NOW)


async def test_what_is_certain_is_paid_once_however_often_and_by_however_many(
    conn: Connection, pool: Pool
) -> None:
    invoices = [await issue(conn, asked(each)) for each in ("anna-7", "anna-7", "bob-8")]
    content = camt(
        Booked("35.69", "INV-2026-00002", "Anna Weiss", "DE1"),
        Booked("30.00", "Rechnung INV 2026 00003"),
        Booked("10.00", "no idea"),
        Booked("12.00", "INV-2026-00001 INV-2026-00003"),
    )
    await bring(conn, content)
    seen = await preview(conn)
    assert [each.certain and each.certain.account for each in seen] == [
        "anna-7",
        "bob-8",
        None,
        None,
    ]
    assert await cash(conn) == 0

    async def at_once() -> Processed:
        async with pool.acquire() as mine:
            return await done(mine)

    found = await asyncio.gather(*[at_once() for _ in range(4)])
    assert sorted(len(each.paired) for each in found) == [0, 0, 0, 2]
    await bring(conn, content, "again.xml")
    assert (await done(conn)).paired == ()
    statuses = [(await reading.get(conn, each, NOW)).left_micros for each in invoices]
    assert statuses == [TOTAL, 0, TOTAL - 30_000_000]
    assert await cash(conn) == 65_690_000
    [first, *_] = await line.list_(conn, state=State.PAIRED)
    assert (first.account, first.score, first.decided_by) == ("anna-7", 100, BY)
    assert "names invoice INV-2026-00002; the payer has" in first.reason
    assert first.payment_id is not None
    paid = await payments.get(conn, first.payment_id)
    assert (paid.gateway, paid.gateway_reference) == ("bank", f"line-{first.line_id}-0")


async def test_a_file_is_processed_in_chunks_from_where_the_last_ended(conn: Connection) -> None:
    await issue(conn, asked("anna-7"))
    await bring(conn, camt(*[Booked("1.00", "INV-2026-00001") for _ in range(5)]))
    paired, after = 0, 0
    while (chunk := await done(conn, after=after, limit=2)).last is not None:
        assert len(chunk.paired) <= 2
        paired, after = paired + len(chunk.paired), chunk.last
    assert (paired, await cash(conn)) == (5, 5_000_000)


async def test_a_wrong_pairing_is_undone_and_made_right(conn: Connection) -> None:
    wrong, right = await issue(conn, asked("anna-7")), await issue(conn, asked("bob-8"))
    await bring(conn, camt(Booked("40.00", "thanks", "", "DE9")))
    [each] = await line.list_(conn)
    first = await pair(conn, each.line_id, "anna-7")
    assert await pair(conn, each.line_id, "anna-7") == first
    with pytest.raises(Conflict, match=r"is paired .payment 1 of anna-7"):
        await pair(conn, each.line_id, "bob-8")
    assert (await reading.get(conn, wrong, NOW)).status is Status.PAID
    undone = await unpair(conn, each.line_id)
    assert (undone.state, undone.payment_id, undone.reason) == (
        State.NEW,
        None,
        "was payment 1: wrong",
    )
    assert (await reading.get(conn, wrong, NOW)).left_micros == TOTAL
    assert (await cash(conn), await balance(conn, "anna-7")) == (0, -TOTAL)
    with pytest.raises(Conflict, match="is new, not paired"):
        await unpair(conn, each.line_id)
    second = await pair(conn, each.line_id, "bob-8", right)
    assert second.payment_id != first.payment_id
    assert (await reading.get(conn, right, NOW)).status is Status.PAID
    assert (await cash(conn), await balance(conn, "bob-8")) == (40_000_000, 40_000_000 - TOTAL)
    assert len(await line.history(conn, each.line_id)) == 3
    # The payer's bank account is known from now on.
    await bring(conn, camt(Booked("5.00", "again", "", "DE9"), day=3), "b.xml")
    [known] = await preview(conn)
    assert [(p.account, p.score) for p in known.proposals] == [("bob-8", 50)]


async def test_what_cannot_be_paired_says_why_and_keeps_nobody_waiting(conn: Connection) -> None:
    first = await issue(conn, asked("anna-7"))
    await bring(conn, camt(Booked("1.00", "a"), Booked("-1.00"), Booked("2.00", status="PDNG")))
    money, fee, pending = await line.list_(conn)
    with pytest.raises(Conflict, match=r"invoice INV-2026-00001 is of account anna-7"):
        await pair(conn, money.line_id, "bob-8", first)
    assert (await cash(conn), await payments.list_(conn)) == (0, [])
    for each in (fee, pending):
        with pytest.raises(Conflict, match="allowed are lines that are new"):
            await pair(conn, each.line_id, "anna-7")
    with pytest.raises(InvalidInput, match="needs a reason"):
        await pairing.ignore(conn, money.line_id, reason=" ", actor=BY, now=NOW)
    ignored = await pairing.ignore(conn, money.line_id, reason="mine", actor=BY, now=NOW)
    assert (ignored.state, await preview(conn)) == (State.IGNORED, [])
    again = await pairing.reopen(conn, money.line_id, reason="not mine", actor=BY, now=NOW)
    assert again.state is State.NEW
    with pytest.raises(Conflict, match="allowed are lines that bring money"):
        await pairing.reopen(conn, fee.line_id, reason="x", actor=BY, now=NOW)


async def test_a_duplicate_that_is_none_is_money_of_its_own(conn: Connection) -> None:
    paid = Booked("1.00", "anna-7")
    await bring(conn, camt(paid))
    await bring(conn, camt(paid, opening="7.00"), "b.xml")
    one, two = await line.list_(conn)
    await pair(conn, one.line_id, "anna-7")
    await pairing.reopen(conn, two.line_id, reason="paid twice", actor=BY, now=NOW)
    await pair(conn, two.line_id, "anna-7")
    assert await cash(conn) == 2_000_000


async def test_money_that_was_spent_is_not_taken_back(conn: Connection) -> None:
    await top_up(conn, "anna-7", 1_000_000, actor=BY, now=NOW)
    await bring(conn, camt(Booked("1.00", "anna-7")))
    [each] = await line.list_(conn)
    kept = await pair(conn, each.line_id, "anna-7")
    assert kept.payment_id is not None
    await refund(conn, kept.payment_id, 500_000, reason="part", actor=BY, now=NOW)
    with pytest.raises(Conflict, match=r"has 0.50 EUR to give back"):
        await unpair(conn, each.line_id)
    assert (await line.get(conn, each.line_id)).state is State.PAIRED
