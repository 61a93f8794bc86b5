"""Which documents a payment pays: some money on one, on several, or several payments on one."""

from datetime import datetime

from billing.database import Connection
from billing.errors import Conflict, NotFound
from billing.payments.documents import (
    Allocation,
    Documents,
    allocation_of,
    put,
    put_oldest,
    take_off,
)
from billing.payments.register import hold
from billing.statements import load
from rating.money import format_micros

SQL = load(__package__, "queries.sql")


async def allocate(
    conn: Connection,
    payment_id: int,
    kind: str,
    document_id: int,
    micros: int,
    documents: Documents,
    *,
    actor: str,
    now: datetime,
) -> Allocation:
    """Put a part of a payment on a document.

    Raises NotFound, InvalidInput, or Conflict when the payment or the document has less than that.
    """
    async with conn.transaction():
        held, payment = await hold(conn, payment_id)
        return await put(
            conn, held, payment, kind, document_id, micros, documents, actor=actor, now=now
        )


async def allocate_oldest(
    conn: Connection,
    payment_id: int,
    kind: str,
    documents: Documents,
    *,
    actor: str,
    now: datetime,
) -> list[Allocation]:
    """Put what a payment has left on the account's documents, soonest due first.

    What remains stays the account's credit. Raises NotFound.
    """
    async with conn.transaction():
        held, payment = await hold(conn, payment_id)
        return await put_oldest(conn, held, payment, kind, documents, actor=actor, now=now)


async def release(
    conn: Connection,
    allocation_id: int,
    documents: Documents,
    *,
    micros: int | None = None,
    actor: str,
    now: datetime,
) -> Allocation:
    """Take a part of a payment (None: all of it) off a document again; it is credit then.

    Raises NotFound, or Conflict when less stands there.
    """
    async with conn.transaction():
        payment_id = await conn.fetchval(SQL["payment_of_allocation"], allocation_id)
        if payment_id is None:
            raise NotFound(f"allocation {allocation_id} does not exist")
        held, _ = await hold(conn, payment_id)
        found = allocation_of(await conn.fetchrow(SQL["lock_allocation"], allocation_id))
        wanted = found.held_micros if micros is None else micros
        if not 0 < wanted <= found.held_micros:
            raise Conflict(
                f"allocation {allocation_id} has {format_micros(found.held_micros)} on its document"
            )
        await take_off(conn, held, found, wanted, documents, actor=actor, now=now)
        return allocation_of(await conn.fetchrow(SQL["lock_allocation"], allocation_id))
