"""A business with accounts that owe invoices, and files of its bank."""

import pytest

from billing.accounts.account import Particulars, PaymentMode
from billing.accounts.register import create
from billing.customers import register as customers
from billing.customers.customer import Details
from billing.database import Connection
from billing.ledger.chart import Ledger
from billing.reconciliation.files import Imported, import_
from tests.billing.invoices.books import ledger
from tests.billing.invoices.making import NOW, open_business

#: What each invoice of `making.asked` comes to.
TOTAL = 35_690_000


@pytest.fixture
async def business(conn: Connection) -> None:
    """Anna Weiß's account is `anna-7`, Bob Blau's `bob-8`."""
    await open_business(conn)
    for name, account in (("Anna Weiß", "anna-7"), ("Bob Blau", "bob-8")):
        await customers.create(conn, account, Details(name=name), now=NOW)
        await create(
            conn,
            account,
            "EUR",
            PaymentMode.POSTPAID,
            credit_limit_micros=None,
            particulars=Particulars(customer=account),
            now=NOW,
        )


async def bring(conn: Connection, content: bytes, name: str = "a.xml") -> Imported:
    """Import a file."""
    return await import_(conn, content, name, actor="clerk", now=NOW)


async def cash(conn: Connection) -> int:
    """What the books say is at the bank (micros)."""
    return (await ledger(conn)).get(Ledger.CASH, 0)
