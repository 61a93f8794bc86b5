"""Entities in Postgres."""

import msgspec
import pytest

from billing.database import Connection
from billing.entities import register
from billing.errors import NotFound
from tests.billing.invoices.making import NOW, SELLER


async def test_an_entity_comes_back_as_it_was_put(conn: Connection) -> None:
    assert await register.put(conn, SELLER, NOW)
    assert not await register.put(conn, SELLER, NOW)
    assert await register.get(conn, "main") == SELLER
    changed = msgspec.structs.replace(SELLER, name="Other")
    assert await register.put(conn, changed, NOW)
    assert await register.list_(conn) == [changed]


async def test_what_is_missing_is_told(conn: Connection) -> None:
    with pytest.raises(NotFound, match="no entity other; make it with 'ratewire entity set"):
        await register.get_many(conn, ["other"])
