"""What invoices are made of in tests."""

from datetime import UTC, date, datetime

import msgspec

from billing.accounts.account import PaymentMode
from billing.accounts.register import create
from billing.database import Connection
from billing.entities import register as entities
from billing.entities.entity import Address, Entity
from billing.invoices.invoice import Buyer, NewInvoice
from billing.invoices.line import ItemKind, NewLine
from billing.taxes import rates
from billing.taxes.rate import TaxRate

NOW = datetime(2026, 3, 14, 15, 9, 26, tzinfo=UTC)
#: After all that is settled: what is settled is as of the clock of the database.
LATER = datetime(2200, 1, 1, tzinfo=UTC)

SELLER = Entity(
    name="Nordlicht Internet GmbH",
    address=Address("Hafenstr. 12", "Hamburg", "20457", "DE"),
    jurisdiction="DE",
    tax_id="DE123456788",
    iban="DE89370400440532013000",
    bic="COBADEFFXXX",
    email="billing@nordlicht.example",
    time_zone="Europe/Berlin",
)
BUYER = Buyer(
    name="Anna Beispiel",
    address=Address("Lindenweg 3", "Berlin", "10115", "DE"),
    email="anna@example.net",
)
RATES = [
    TaxRate("DE", "standard", "USt", date(2021, 1, 1), 190_000),
    TaxRate("DE", "reduced", "USt", date(2021, 1, 1), 70_000),
    TaxRate("JP", "standard", "JCT", date(2021, 1, 1), 100_000),
    TaxRate("BH", "standard", "VAT", date(2021, 1, 1), 100_000),
]


async def open_business(conn: Connection, seller: Entity = SELLER) -> None:
    """Keep a seller and the tax rates."""
    await entities.put(conn, seller, NOW)
    await rates.put(conn, RATES, NOW)


async def open_account(
    conn: Connection, account: str = "anna", *, currency: str = "EUR", prepaid: bool = False
) -> str:
    """Open an account, postpaid unless told otherwise, and return its id."""
    mode = PaymentMode.PREPAID if prepaid else PaymentMode.POSTPAID
    await create(conn, account, currency, mode, credit_limit_micros=None, now=NOW)
    return account


def fee(micros: int = 29_990_000, **more: object) -> NewLine:
    """A monthly fee."""
    line = NewLine(
        kind=ItemKind.RECURRING,
        description="Fibre 100, March 2026",
        unit_price_micros=micros,
        service_from=date(2026, 3, 1),
        service_until=date(2026, 4, 1),
    )
    return msgspec.structs.replace(line, **more)


def asked(account: str = "anna", *lines: NewLine, **more: object) -> NewInvoice:
    """An invoice for lines, or for one fee."""
    new = NewInvoice(account=account, lines=lines or (fee(),), buyer=BUYER)
    return msgspec.structs.replace(new, **more)
