"""Noting that the plans or the NASes changed, so that a relay mirrors them to the store."""

from typing import Literal

from billing.database import Connection
from billing.statements import load

SQL = load(__package__, "queries.sql")

What = Literal["plans", "nas"]


async def hold(conn: Connection, what: What) -> None:
    """Keep others from changing the plans or the NASes until this transaction ends.

    So that a check before a change holds, and a revision stands for one state.
    """
    assert conn.is_in_transaction()
    await conn.execute(SQL["hold_publication"], what)


async def changed(conn: Connection, what: What) -> None:
    """Note, in the transaction of the change, that plans or NASes changed; relays are told."""
    assert conn.is_in_transaction()
    await conn.execute(SQL["bump_publication"], what)
    await conn.execute(SQL["notify_publication"], what)
