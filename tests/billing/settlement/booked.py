"""Booking batches made by hand, without a store."""

from collections.abc import Sequence
from typing import Any

from balances.entries import Entry, JobEvent
from balances.messages import Position
from billing.database import Connection
from billing.settlement.booking import Booked, book
from billing.settlement.rows import Item
from tests.billing.settlement.making import items, stream


async def open_accounts(conn: Connection) -> None:
    """alice and bob prepay, carol does not; nothing is settled."""
    await conn.execute(
        "INSERT INTO customer_billing_accounts (account_id, currency, payment_mode, created_at)"
        " VALUES ('alice', 'EUR', 'prepaid', now()), ('bob', 'USD', 'prepaid', now()),"
        " ('carol', 'EUR', 'postpaid', now())"
    )
    await conn.execute("INSERT INTO settlement_positions VALUES (0, 1, 0, now())")


async def settle(conn: Connection, *batches: Sequence[Item]) -> Booked:
    """Book these stream entries, one a batch of items, after what was booked before."""
    at = await conn.fetchval("SELECT sequence FROM settlement_positions")
    booked = await book(conn, 0, Position(1, at), stream(batches, after=at))
    assert booked is not None
    return booked


async def settle_items(conn: Connection, *values: Entry | JobEvent | bytes) -> Booked:
    """Book one stream entry."""
    return await settle(conn, items(*values))


async def rows(conn: Connection, query: str) -> list[tuple[Any, ...]]:
    """The rows of a query, as tuples."""
    return [tuple(row) for row in await conn.fetch(query)]
