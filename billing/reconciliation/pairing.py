"""Making payments of lines: what is certain by itself, the rest by hand; and undoing it.

A line's payment has the line for its reference at the bank, so it is received once. Lines are held
before accounts, always, and accounts in the order of their names.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import msgspec

from billing.database import Connection
from billing.errors import BillingError, Conflict, InvalidInput
from billing.invoices.settling import left_on
from billing.payments import allocation, refunds
from billing.payments import register as payments
from billing.payments.documents import Documents, of_payment
from billing.payments.payment import MAX_TEXT_OCTETS, Method, text
from billing.payments.register import NewPayment
from billing.reconciliation.clues import gather
from billing.reconciliation.line import KeptLine, State, get, line_of
from billing.reconciliation.matching import CERTAIN, Proposal, certain, propose
from billing.statements import load

SQL = load(__package__, "queries.sql")

#: What payments by bank file are received from.
BANK: Final = "bank"
#: Lines that are decided in one transaction.
CHUNK: Final = 500

_INVOICE: Final = "invoice"
_MAX_REASON: Final = 500


class Matched(msgspec.Struct, frozen=True):
    """A line and whose it may be, the likeliest first; `certain` is whose it is taken for."""

    line: KeptLine
    proposals: tuple[Proposal, ...]
    certain: Proposal | None


class Processed(msgspec.Struct, frozen=True):
    """What became of lines: those paired, those left for a person, those that failed.

    `last` is the last line looked at, None if there was none: where to go on.
    """

    paired: tuple[int, ...]
    left: int
    failed: int
    accounts: tuple[str, ...]
    last: int | None


async def preview(
    conn: Connection,
    *,
    file_id: int | None = None,
    after: int = 0,
    threshold: int = CERTAIN,
    limit: int = CHUNK,
) -> list[Matched]:
    """Return what `process` would do with the first lines after one; nothing is changed."""
    rows = await conn.fetch(SQL["undecided"], file_id, after, limit)
    return await _match(conn, [line_of(row, row["line_id"]) for row in rows], threshold)


async def process(
    conn: Connection,
    documents: Documents,
    *,
    file_id: int | None = None,
    after: int = 0,
    threshold: int = CERTAIN,
    limit: int = CHUNK,
    actor: str,
    now: datetime,
) -> Processed:
    """Pair the first lines after one that are certain, in one transaction; `documents`: invoices.

    A line that cannot be paired says why, and does not keep others from it.
    """
    paired: list[KeptLine] = []
    failed = 0
    async with conn.transaction():
        rows = await conn.fetch(SQL["lock_undecided"], file_id, after, limit)
        lines = [line_of(row, row["line_id"]) for row in rows]
        matched = await _match(conn, lines, threshold)
        sure = [(each.line, each.certain) for each in matched if each.certain is not None]
        for line, proposal in sorted(sure, key=lambda each: (each[1].account, each[0].line_id)):
            try:
                paired.append(await _pair(conn, line, proposal, documents, actor, now))
            except BillingError as error:
                failed += 1
                await _decide(conn, line, State.ERROR, str(error), actor, now)
    return Processed(
        paired=tuple(sorted(line.line_id for line in paired)),
        left=len(lines) - len(paired) - failed,
        failed=failed,
        accounts=tuple(sorted({line.account for line in paired if line.account})),
        last=lines[-1].line_id if lines else None,
    )


async def pair(
    conn: Connection,
    line_id: int,
    account: str,
    invoices: Sequence[int],
    documents: Documents,
    *,
    actor: str,
    now: datetime,
) -> KeptLine:
    """Make a line a payment of an account, of these invoices first, then of what is due soonest.

    The same again changes nothing. Raises NotFound; Conflict when the line is no money that is
    undecided, or the account or an invoice cannot take it.
    """
    async with conn.transaction():
        line = line_of(await conn.fetchrow(SQL["lock_line"], line_id), line_id)
        if line.state is State.PAIRED and line.account == account:
            return line
        _refuse_decided(line)
        proposal = Proposal(account, tuple(invoices), 0, ("paired by hand",))
        return await _pair(conn, line, proposal, documents, actor, now, by_hand=True)


async def unpair(
    conn: Connection, line_id: int, documents: Documents, *, reason: str, actor: str, now: datetime
) -> KeptLine:
    """Undo a pairing: the payment comes off its invoices and out of the account; the line is new.

    Raises NotFound; InvalidInput; Conflict when the line is not paired, or the account has spent
    the money, or a part of it went back or is disputed.
    """
    if not text(reason, "reason").strip():
        raise InvalidInput("undoing a pairing needs a reason")
    async with conn.transaction():
        line = line_of(await conn.fetchrow(SQL["lock_line"], line_id), line_id)
        if line.payment_id is None:
            raise Conflict(f"bank line {line_id} is {line.state}, not paired")
        await payments.hold(conn, line.payment_id)
        for each in await of_payment(conn, line.payment_id):
            if each.held_micros:
                await allocation.release(conn, each.allocation_id, documents, actor=actor, now=now)
        await refunds.refund(
            conn,
            line.payment_id,
            line.amount_micros,
            reason=f"bank line {line_id} is not of this account: {reason}"[:200],
            gateway_reference=_reference(line),
            key=f"unpair-{line.pairings}",
            actor=actor,
            now=now,
        )
        await _decide(conn, line, State.NEW, f"was payment {line.payment_id}: {reason}", actor, now)
        return await get(conn, line_id)


async def ignore(
    conn: Connection, line_id: int, *, reason: str, actor: str, now: datetime
) -> KeptLine:
    """Say of a line that it is no payment of a customer's.

    Raises NotFound, InvalidInput, or Conflict when it is paired.
    """
    if not text(reason, "reason").strip():
        raise InvalidInput("ignoring a line needs a reason")
    async with conn.transaction():
        line = line_of(await conn.fetchrow(SQL["lock_line"], line_id), line_id)
        _refuse_decided(line)
        await _decide(conn, line, State.IGNORED, reason, actor, now)
        return await get(conn, line_id)


async def reopen(
    conn: Connection, line_id: int, *, reason: str, actor: str, now: datetime
) -> KeptLine:
    """Take a line up again that was ignored, or that was taken for a duplicate and is none.

    Raises NotFound, InvalidInput, or Conflict when it is neither or money that went out.
    """
    if not text(reason, "reason").strip():
        raise InvalidInput("taking a line up again needs a reason")
    async with conn.transaction():
        line = line_of(await conn.fetchrow(SQL["lock_line"], line_id), line_id)
        if line.state not in (State.IGNORED, State.DUPLICATE) or line.amount_micros <= 0:
            raise Conflict(
                f"bank line {line_id} is {line.state}: allowed are lines that bring money, and are"
                " ignored or duplicate"
            )
        await _decide(conn, line, State.NEW, reason, actor, now)
        return await get(conn, line_id)


def _refuse_decided(line: KeptLine) -> None:
    if line.state not in (State.NEW, State.ERROR) or line.amount_micros <= 0:
        whose = f" (payment {line.payment_id} of {line.account})" if line.payment_id else ""
        raise Conflict(
            f"bank line {line.line_id} is {line.state}{whose}: {line.reason or 'it is no money'};"
            " allowed are lines that are new or failed"
        )


async def _match(conn: Connection, lines: Sequence[KeptLine], threshold: int) -> list[Matched]:
    clues = await gather(conn, [line.as_told() for line in lines])
    found: list[Matched] = []
    for line in lines:
        proposals = propose(line.as_told(), clues)
        found.append(Matched(line, tuple(proposals), certain(proposals, threshold)))
    return found


async def _pair(
    conn: Connection,
    line: KeptLine,
    proposal: Proposal,
    documents: Documents,
    actor: str,
    now: datetime,
    *,
    by_hand: bool = False,
) -> KeptLine:
    async with conn.transaction():
        received = await payments.receive(
            conn,
            NewPayment(
                account=proposal.account,
                amount_micros=line.amount_micros,
                method=Method.BANK_TRANSFER,
                currency=line.currency,
                gateway=BANK,
                gateway_reference=_reference(line),
                reference=_cut(line.reference or line.text),
                on_invoices=False,
                description=_cut(f"bank line {line.line_id}, {line.place}, {line.booked_on}"),
            ),
            actor=actor,
            now=now,
        )
        payment = received.payment
        remaining = payment.unallocated_micros
        for invoice_id in proposal.invoices:
            micros = min(remaining, (await left_on(conn, invoice_id)).left_micros)
            if micros > 0:
                await allocation.allocate(
                    conn,
                    payment.payment_id,
                    _INVOICE,
                    invoice_id,
                    micros,
                    documents,
                    actor=actor,
                    now=now,
                )
                remaining -= micros
        await allocation.allocate_oldest(
            conn, payment.payment_id, _INVOICE, documents, actor=actor, now=now
        )
        await conn.execute(
            SQL["paired"],
            line.line_id,
            payment.payment_id,
            proposal.account,
            proposal.reason[:_MAX_REASON],
            None if by_hand else proposal.score,
            actor,
            now,
        )
        return await get(conn, line.line_id)


def _reference(line: KeptLine) -> str:
    """What the bank's line is called as a payment: another one each time it is paired anew."""
    return f"line-{line.line_id}-{line.pairings}"


def _cut(value: str) -> str:
    return value.encode()[:MAX_TEXT_OCTETS].decode(errors="ignore")


async def _decide(
    conn: Connection, line: KeptLine, state: State, reason: str, actor: str, now: datetime
) -> None:
    await conn.execute(SQL["decided"], line.line_id, state, reason[:_MAX_REASON], actor, now)
