"""How numbers are written, and what tells that one is missing."""

import msgspec
import pytest

from billing.database import Connection
from billing.entities.entity import NumberFormats
from billing.errors import NotFound
from billing.invoices import numbers
from billing.invoices.numbers import Written, written
from tests.billing.invoices.making import SELLER, asked, open_account
from tests.billing.invoices.test_finalizing import issue


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("INV-{year}-{number:05}", Written("INV-2026-", 5, "")),
        ("{number}/{year}", Written("", 1, "/2026")),
        ("{year}{number:08}", Written("2026", 8, "")),
    ],
)
def test_a_number_is_written_as_the_entity_says(text: str, expected: Written) -> None:
    seller = msgspec.structs.replace(SELLER, numbers=NumberFormats(invoice=text))
    assert written(seller, "invoice", 2026) == expected


async def test_a_number_without_its_document_is_told(conn: Connection) -> None:
    await open_account(conn)
    await issue(conn, asked())
    [series] = await numbers.list_(conn)
    assert (series.last_number, series.missing) == (1, 0)
    await conn.execute("UPDATE number_series SET last_number = 3")
    [series] = await numbers.list_(conn)
    assert series.missing == 2


async def test_a_series_of_nobody_is_refused(conn: Connection) -> None:
    with pytest.raises(NotFound, match="there is no entity nobody"):
        await numbers.continue_from(conn, "nobody", "invoice", 2026, 1)
