"""Whom documents are for."""

from billing.customers import register as customers
from billing.customers.customer import Details
from billing.database import Connection
from billing.entities.entity import Address
from billing.invoices.buyers import buyers_of
from billing.invoices.invoice import Buyer
from tests.billing.invoices.making import NOW, open_account


async def test_a_document_is_for_the_customer_of_its_account(conn: Connection) -> None:
    await open_account(conn)
    await open_account(conn, "a-1")
    details = Details(
        name="Anna", company="Anna GmbH", street="Weg 1", city="Bonn", country="DE", tax_id="DE1"
    )
    await customers.create(conn, "c-1", details, now=NOW)
    await conn.execute(
        "UPDATE customer_billing_accounts SET customer_id = 'c-1' WHERE account_id = 'anna'"
    )
    found = await buyers_of(conn, ["anna", "a-1", "nobody"])
    assert found == {
        "a-1": Buyer(name="a-1", language="en"),
        "anna": Buyer(
            name="Anna GmbH",
            contact="Anna",
            address=Address("Weg 1", "Bonn", "", "DE"),
            language="en",
            tax_id="DE1",
        ),
    }
