"""Receipts and account statements say what the books say."""

from datetime import date

import pytest

from billing.accounts.money import top_up
from billing.database import Connection
from billing.documents import loading
from billing.errors import Conflict, InvalidInput, NotFound
from billing.invoices.invoice import Buyer
from tests.billing.invoices.making import NOW, SELLER, asked
from tests.billing.invoices.test_finalizing import issue

pytestmark = pytest.mark.usefixtures("business")


async def test_a_statement_goes_from_one_balance_to_the_other(conn: Connection) -> None:
    await top_up(conn, "anna", 10_000_000, actor="test", now=NOW)
    await issue(conn, asked())
    made = await loading.statement(conn, "anna", date(2026, 3, 1), date(2026, 3, 31))
    assert [row.amount_micros for row in made.movements] == [10_000_000, -35_690_000]
    assert (made.opening_micros, made.closing_micros) == (0, -25_690_000)
    after = await loading.statement(conn, "anna", date(2026, 3, 15), date(2026, 3, 15))
    assert (after.opening_micros, after.movements) == (-25_690_000, ())
    with pytest.raises(InvalidInput, match="ends before it begins"):
        await loading.statement(conn, "anna", date(2026, 3, 2), date(2026, 3, 1))
    with pytest.raises(NotFound):
        await loading.statement(conn, "nobody", date(2026, 3, 1), date(2026, 3, 1))


async def test_there_is_a_receipt_only_for_what_arrived(conn: Connection) -> None:
    add = (
        "INSERT INTO payments (account_id, currency, amount_micros, method, status, gateway,"
        " reference, description, actor, created_at, settled_at, transaction_id)"
        " VALUES ('anna', 'EUR', 5000000, 'cash', $1, 'manual', 'r', 'd', 'test', $2, $3, $4)"
        " RETURNING payment_id"
    )
    await top_up(conn, "anna", 5_000_000, actor="test", now=NOW)
    entry = await conn.fetchval("SELECT max(transaction_id) FROM billing_transactions")
    arrived = await conn.fetchval(add, "succeeded", NOW, NOW, entry)
    pending = await conn.fetchval(add, "pending", NOW, None, None)
    receipt = await loading.receipt(conn, arrived)
    assert (receipt.number, receipt.method, receipt.amount_micros) == (
        *(f"R-{arrived}", "cash", 5_000_000),
    )
    with pytest.raises(Conflict, match="is pending: there is no receipt"):
        await loading.receipt(conn, pending)
    with pytest.raises(NotFound):
        await loading.receipt(conn, 10_000)


def test_the_language_is_the_buyers_if_there_are_words_for_it() -> None:
    assert loading.language_of(Buyer(name="x", language="fr"), SELLER) == "fr"
    assert loading.language_of(Buyer(name="x", language="es"), SELLER) == "en"
