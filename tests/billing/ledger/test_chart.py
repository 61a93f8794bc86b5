"""The chart of accounts in the code and in the schema."""

from billing.database import Connection
from billing.ledger.chart import Ledger


async def test_the_chart_mirrors_its_table(conn: Connection) -> None:
    rows = await conn.fetch("SELECT ledger, name, of_customer FROM ledgers ORDER BY ledger")
    assert [tuple(row) for row in rows] == [
        (ledger.value, ledger.name.lower(), ledger.of_customer) for ledger in Ledger
    ]
