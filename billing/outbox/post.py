"""Putting movements on the road to the store, in the transaction that causes them."""

from collections.abc import Sequence
from datetime import datetime

from balances.messages import AnyMovement, encode_movement
from billing.database import Connection
from billing.statements import load

SQL = load(__package__, "queries.sql")

#: What a movement is created with; `post` gives it its sequence.
UNNUMBERED = 0

#: One statement takes this many; more would be one large message.
_CHUNK = 10_000


async def post(conn: Connection, movements: Sequence[AnyMovement], now: datetime) -> list[int]:
    """Give movements the next sequences of their accounts and put them on the road.

    Returns the sequences in the order given. Must be called in a transaction: it takes the rows of
    the accounts (which must exist) until that ends, and the relays are told when it is committed.
    """
    assert conn.is_in_transaction(), "a movement is posted together with what causes it"
    sequences: list[int] = []
    for start in range(0, len(movements), _CHUNK):
        chunk = movements[start : start + _CHUNK]
        rows = await conn.fetch(
            SQL["post"],
            [movement.account for movement in chunk],
            [encode_movement(movement) for movement in chunk],
            now,
        )
        assert len(rows) == len(chunk), "every movement is of an account that exists"
        sequences += [row[0] for row in rows]
    if movements:
        first = movements[0].account
        single = all(movement.account == first for movement in movements)
        await conn.execute(SQL["notify"], first if single else "")
    return sequences
