"""The documents that payments are put on, and putting money there.

What is put on a document moves from the customer's credit to what the customer owes, so the
balance of an account stays as it is. Whoever calls holds the account and the payment.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

import asyncpg
import msgspec

from billing.accounts.register import LockedAccount
from billing.database import Connection
from billing.errors import Conflict, InvalidInput
from billing.ledger import journal
from billing.ledger.chart import Ledger
from billing.ledger.statement import credit
from billing.ledger.transaction import Kind, transfer
from billing.payments.payment import Payment
from billing.statements import load
from rating.money import format_micros

SQL = load(__package__, "queries.sql")


class Documents(Protocol):
    """The documents of one kind, as payments see them. Called in the payment's transaction."""

    async def take(
        self, conn: Connection, document_id: int, account: str, micros: int, now: datetime
    ) -> None:
        """Note that so much of a document of an account is paid (micros > 0).

        Raises NotFound, or Conflict when it is not open, another account's, or less is left on it.
        """
        ...

    async def give_back(
        self, conn: Connection, document_id: int, micros: int, now: datetime
    ) -> None:
        """Note that so much of what was taken is not paid after all."""
        ...

    async def left(self, conn: Connection, account: str) -> Sequence[tuple[int, int]]:
        """Return the account's open documents, soonest due first, with what is left on each."""
        ...


#: The documents of each kind that payments can be put on.
DocumentKinds = Mapping[str, Documents]


class Allocation(msgspec.Struct, frozen=True):
    """A part of a payment on a document (micros); `released_micros` of it was taken back."""

    allocation_id: int
    payment_id: int
    document_kind: str
    document_id: int
    amount_micros: int
    released_micros: int
    allocated_at: datetime

    @property
    def held_micros(self) -> int:
        """What still stands on the document."""
        return self.amount_micros - self.released_micros


async def put(
    conn: Connection,
    held: LockedAccount,
    payment: Payment,
    kind: str,
    document_id: int,
    micros: int,
    documents: Documents,
    *,
    actor: str,
    now: datetime,
) -> Allocation:
    """Put a part of a payment on a document.

    Raises NotFound, InvalidInput, or Conflict when the payment, the account's credit or the
    document has less than that.
    """
    if micros <= 0:
        raise InvalidInput(f"an allocation of {format_micros(micros)}: allowed is more than 0")
    if micros > payment.unallocated_micros:
        raise Conflict(
            f"payment {payment.payment_id} has {format_micros(payment.unallocated_micros)}"
            f" {payment.currency} left, not {format_micros(micros)}"
        )
    has = await credit(conn, held.account)
    if micros > has:
        raise Conflict(
            f"account {held.account} has {format_micros(max(has, 0))} {payment.currency} of credit"
            f" left, not {format_micros(micros)}: the rest was used, or paid other documents"
        )
    await documents.take(conn, document_id, held.account, micros, now)
    made = transfer(
        Kind.ALLOCATION,
        held.account,
        held.currency,
        micros,
        debit=Ledger.CUSTOMER_CREDIT,
        credit=Ledger.RECEIVABLE,
        actor=actor,
        description=f"Payment {payment.payment_id} on {kind} {document_id}",
    )
    transaction_id = await journal.write(conn, made, now)
    allocation_id = await conn.fetchval(
        SQL["allocate"], payment.payment_id, kind, document_id, micros, now, transaction_id
    )
    await conn.execute(SQL["change_sums"], payment.payment_id, micros, 0, 0, 0)
    return Allocation(allocation_id, payment.payment_id, kind, document_id, micros, 0, now)


async def put_oldest(
    conn: Connection,
    held: LockedAccount,
    payment: Payment,
    kind: str,
    documents: Documents,
    *,
    actor: str,
    now: datetime,
) -> list[Allocation]:
    """Put what a payment has left on the account's documents, soonest due first.

    As far as the account has credit; what remains stays credit.
    """
    done: list[Allocation] = []
    found = await documents.left(conn, held.account) if payment.unallocated_micros else ()
    left = min(payment.unallocated_micros, await credit(conn, held.account)) if found else 0
    for document_id, open_micros in found:
        micros = min(left, open_micros)
        if micros <= 0:
            break
        made = await put(
            conn, held, payment, kind, document_id, micros, documents, actor=actor, now=now
        )
        done.append(made)
        left -= micros
    return done


async def take_off_what_goes(
    conn: Connection,
    held: LockedAccount,
    payment: Payment,
    micros: int,
    documents: DocumentKinds,
    *,
    actor: str,
    now: datetime,
) -> None:
    """Before so much of a payment goes: open again what it can pay no more, the last one first."""
    remains = payment.amount_micros - payment.refunded_micros - payment.lost_micros - micros
    excess = max(0, payment.allocated_micros - remains)
    for each in reversed(await of_payment(conn, payment.payment_id)):
        part = min(excess, each.held_micros)
        if part:
            kind = documents[each.document_kind]
            await take_off(conn, held, each, part, kind, actor=actor, now=now)
            excess -= part


async def take_off(
    conn: Connection,
    held: LockedAccount,
    allocation: Allocation,
    micros: int,
    documents: Documents,
    *,
    actor: str,
    now: datetime,
) -> None:
    """Take micros of an allocation back, while the account and the payment are held."""
    made = transfer(
        Kind.ALLOCATION,
        held.account,
        held.currency,
        micros,
        debit=Ledger.RECEIVABLE,
        credit=Ledger.CUSTOMER_CREDIT,
        actor=actor,
        description=f"Payment {allocation.payment_id} taken off"
        f" {allocation.document_kind} {allocation.document_id}",
    )
    await journal.write(conn, made, now)
    await documents.give_back(conn, allocation.document_id, micros, now)
    await conn.execute(SQL["release"], allocation.allocation_id, micros)
    await conn.execute(SQL["change_sums"], allocation.payment_id, -micros, 0, 0, 0)


async def of_payment(conn: Connection, payment_id: int) -> list[Allocation]:
    """Return the allocations of a payment, oldest first."""
    rows = await conn.fetch(SQL["allocations_of_payment"], payment_id)
    return [allocation_of(row) for row in rows]


async def of_document(conn: Connection, kind: str, document_id: int) -> list[Allocation]:
    """Return the allocations on a document, oldest first."""
    rows = await conn.fetch(SQL["allocations_of_document"], kind, document_id)
    return [allocation_of(row) for row in rows]


def allocation_of(row: asyncpg.Record | None) -> Allocation:
    """Return a row of `payment_allocations` as what it is."""
    assert row is not None
    return Allocation(
        allocation_id=row["allocation_id"],
        payment_id=row["payment_id"],
        document_kind=row["document_kind"],
        document_id=row["document_id"],
        amount_micros=row["amount_micros"],
        released_micros=row["released_micros"],
        allocated_at=row["allocated_at"],
    )
