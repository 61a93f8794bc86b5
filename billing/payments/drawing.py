"""Which payments the credit came from that pays documents as they are finalized.

Credit is one sum, and the newest payments that have something left account for it: so what a bank
takes back later is open again on the documents that it paid. What no payment accounts for (an
adjustment, a credit note) stands on no payment.
"""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime

import msgspec

from billing.database import Connection
from billing.statements import load

SQL = load(__package__, "queries.sql")


class PaidByCredit(msgspec.Struct, frozen=True):
    """So much of an account's invoice is paid by its credit, booked by a ledger transaction."""

    account: str
    invoice_id: int
    micros: int
    transaction_id: int


class Part(msgspec.Struct, frozen=True):
    """A part of a payment (micros) on one of these, by its place."""

    payment_id: int
    place: int
    micros: int


async def draw(conn: Connection, paid: Sequence[PaidByCredit], now: datetime) -> None:
    """Note which payments paid documents. The accounts are held, and the money is booked."""
    if not paid:
        return
    rows = await conn.fetch(SQL["with_rest"], sorted({each.account for each in paid}))
    rests: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
    for row in rows:
        rests[row["account_id"]].append((row["payment_id"], row["rest_micros"]))
    parts = distribute(paid, rests)
    if parts:
        await conn.execute(
            SQL["draw"],
            [part.payment_id for part in parts],
            [paid[part.place].invoice_id for part in parts],
            [part.micros for part in parts],
            [paid[part.place].transaction_id for part in parts],
            now,
        )


def distribute(paid: Sequence[PaidByCredit], rests: dict[str, list[tuple[int, int]]]) -> list[Part]:
    """Return what of payments goes on which document, in order; `rests` are what the payments of
    each account have left, by payment.
    """
    left = {account: list(payments) for account, payments in rests.items()}
    parts: list[Part] = []
    for place, each in enumerate(paid):
        wanted = each.micros
        payments = left.get(each.account, [])
        while wanted and payments:
            payment_id, rest = payments[0]
            part = min(wanted, rest)
            parts.append(Part(payment_id, place, part))
            wanted -= part
            if part == rest:
                del payments[0]
            else:
                payments[0] = (payment_id, rest - part)
    return parts
