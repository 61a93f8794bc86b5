"""Giving back what a bill credits beyond what it charges, by credit notes of its invoices."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime

from billing.credit_notes.credit import CreditedPart, NewCreditNote
from billing.credit_notes.issuing import issue
from billing.cycles.bill import Item
from billing.cycles.loading import Source
from billing.cycles.proration import to_minor_unit
from billing.database import Connection
from billing.errors import Conflict
from billing.invoices import reading
from billing.invoices.line import Line


async def give_back(
    conn: Connection,
    items: Sequence[Item],
    sources: Mapping[int, Source],
    *,
    actor: str,
    now: datetime,
) -> list[int]:
    """Issue a credit note for each invoice that credits are of; return their ids.

    What an invoice still asks for is taken off first, the rest is credit of the account. Raises
    Conflict where the invoice is a draft: it has to be finalized or deleted first.
    """
    parts: defaultdict[int, defaultdict[int, int]] = defaultdict(lambda: defaultdict(int))
    for item in items:
        assert item.credit is not None, "only credits are given back"
        source = sources[item.credit.billed.item]
        if source.invoice is None or source.line is None:
            raise Conflict(
                f"service {item.service}, charge {item.charge}: what is to be credited is on no"
                " invoice"
            )
        parts[source.invoice][source.line] -= item.amount_micros - item.discount_micros
    issued: list[int] = []
    for invoice, lines in sorted(parts.items()):
        billed = await reading.get(conn, invoice, now)
        if billed.number is None:
            raise Conflict(f"invoice {invoice} is a draft: finalize or delete it before the credit")
        by_number = {line.line: line for line in billed.lines}
        new = NewCreditNote(
            invoice_id=invoice,
            reason="; ".join(sorted({item.description for item in items}))[:500],
            lines=tuple(
                CreditedPart(number, _gross(by_number[number], micros, billed.currency))
                for number, micros in sorted(lines.items())
            ),
        )
        issued.append(await issue(conn, new, actor=actor, now=now))
    return issued


def _gross(line: Line, micros: int, currency: str) -> int | None:
    """What of a line is credited, tax included, if `micros` of its price are; None: all of it."""
    whole = line.amount_micros - line.discount_micros
    if micros >= whole:
        return None
    return to_minor_unit(micros * line.gross_micros, whole, currency)
