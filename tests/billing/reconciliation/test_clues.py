"""What the books know of whom lines are from."""

from datetime import date

import pytest

from billing.accounts.account import AccountStatus
from billing.accounts.register import set_status
from billing.database import Connection
from billing.reconciliation.clues import gather
from billing.reconciliation.matching import Named, OpenInvoice
from billing.reconciliation.statement import BankLine
from tests.billing.invoices.making import NOW, asked
from tests.billing.invoices.test_finalizing import issue
from tests.billing.reconciliation.conftest import TOTAL

pytestmark = pytest.mark.usefixtures("business")

LINE = BankLine(
    place="",
    booked_on=date(2026, 3, 2),
    amount_micros=TOTAL,
    currency="EUR",
    payer="ANNA WEIß",
    text="inv 2026 00001, BOB-8",
)


async def test_numbers_accounts_people_and_amounts_are_known(conn: Connection) -> None:
    invoice = await issue(conn, asked("anna-7"))
    clues = await gather(conn, [LINE])
    assert clues.named == {
        "INV202600001": [Named("anna-7", "INV-2026-00001")],
        "BOB8": [Named("bob-8")],
    }
    assert clues.people == {"anna weiß": ["anna-7"]}
    assert clues.alone == {("EUR", TOTAL): "anna-7"}
    assert clues.owners["anna-7"].names == ("Anna Weiß",)
    assert clues.owners["anna-7"].invoices == (OpenInvoice(invoice, "INV-2026-00001", TOTAL),)
    await issue(conn, asked("bob-8"))
    assert (await gather(conn, [LINE])).alone == {}
    assert (await gather(conn, [])).owners == {}


async def test_a_closed_account_is_nobodys(conn: Connection) -> None:
    await set_status(conn, "bob-8", AccountStatus.CLOSED, now=NOW)
    assert set((await gather(conn, [LINE])).owners) == {"anna-7"}
