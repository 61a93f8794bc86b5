"""Lines of bank files over HTTP: deciding by hand what they are, and undoing it."""

from datetime import date, datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from billing.reconciliation import line, pairing
from billing.reconciliation.line import KeptLine, State
from ratewire.documents import DOCUMENTS, INVOICE
from ratewire.http.amounts import shown
from ratewire.http.endpoint import MONEY, READERS, Call, Name, Nothing, Page, endpoint, number_of

Id = Annotated[int, Meta(ge=0, le=2**63 - 1)]


class LineView(msgspec.Struct, frozen=True):
    """A line of a bank file: what the bank told, and what was decided. Money out is negative."""

    id: int
    file: int
    place: str
    booked_on: date
    amount: str
    currency: str
    payer: str
    payer_account: str
    reference: str
    text: str
    state: State
    reason: str
    score: int | None
    account: str | None
    payment: int | None
    decided_by: str | None
    decided_at: datetime | None


class Lines(msgspec.Struct, frozen=True):
    """Lines, in the order in which they came."""

    data: list[LineView]
    next: str | None


class LinesQuery(Page, frozen=True):
    """Which lines."""

    file: Id | None = None
    state: State | None = None


class PairRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whose payment a line is, and which invoices it pays before those that are due soonest."""

    account: Name
    invoices: Annotated[tuple[Id, ...], Meta(max_length=100)] = ()


class Reason(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why; it is kept."""

    reason: Annotated[str, Meta(min_length=1, max_length=200)]


def view(of: KeptLine) -> LineView:
    """Return a line as the API tells it."""
    return LineView(
        id=of.line_id,
        file=of.file_id,
        place=of.place,
        booked_on=of.booked_on,
        amount=shown(of.amount_micros, of.currency),
        currency=of.currency,
        payer=of.payer,
        payer_account=of.payer_account,
        reference=of.reference,
        text=of.text,
        state=of.state,
        reason=of.reason,
        score=of.score,
        account=of.account,
        payment=of.payment_id,
        decided_by=of.decided_by,
        decided_at=of.decided_at,
    )


async def list_(call: Call[LinesQuery, Nothing]) -> Lines:
    """List lines."""
    query = call.query
    found = await line.list_(
        call.conn,
        after=None if query.cursor is None else number_of(query.cursor),
        file_id=query.file,
        state=query.state,
        limit=query.limit + 1,
    )
    page, more = query.cut(found, lambda each: each.line_id)
    return Lines([view(each) for each in page], more)


async def get(call: Call[Nothing, Nothing]) -> LineView:
    """Read one."""
    return view(await line.get(call.conn, int(call.path["line_id"])))


async def pair(call: Call[Nothing, PairRequest]) -> LineView:
    """Make one a payment."""
    done = await pairing.pair(
        call.conn,
        int(call.path["line_id"]),
        call.body.account,
        call.body.invoices,
        DOCUMENTS[INVOICE],
        actor=call.actor,
        now=call.now,
    )
    return view(done)


async def unpair(call: Call[Nothing, Reason]) -> LineView:
    """Undo a pairing."""
    done = await pairing.unpair(
        call.conn,
        int(call.path["line_id"]),
        DOCUMENTS[INVOICE],
        reason=call.body.reason,
        actor=call.actor,
        now=call.now,
    )
    return view(done)


async def ignore(call: Call[Nothing, Reason]) -> LineView:
    """Say of one that it is no payment."""
    number = int(call.path["line_id"])
    reason = call.body.reason
    return view(
        await pairing.ignore(call.conn, number, reason=reason, actor=call.actor, now=call.now)
    )


async def reopen(call: Call[Nothing, Reason]) -> LineView:
    """Take one up again."""
    number = int(call.path["line_id"])
    reason = call.body.reason
    return view(
        await pairing.reopen(call.conn, number, reason=reason, actor=call.actor, now=call.now)
    )


_ONE = "billing/bank-lines/{line_id}"

ENDPOINTS = (
    endpoint(
        "GET",
        "billing/bank-lines/",
        "List lines of bank files",
        list_,
        roles=READERS,
        query=LinesQuery,
        answer=Lines,
    ),
    endpoint("GET", _ONE, "Read a line of a bank file", get, roles=READERS, answer=LineView),
    endpoint(
        "POST",
        f"{_ONE}/pair",
        "Make a line a payment of an account",
        pair,
        roles=MONEY,
        body=PairRequest,
        answer=LineView,
    ),
    endpoint(
        "POST",
        f"{_ONE}/unpair",
        "Undo a pairing: the payment comes off its invoices and out of its account",
        unpair,
        roles=MONEY,
        body=Reason,
        answer=LineView,
    ),
    endpoint(
        "POST",
        f"{_ONE}/ignore",
        "Say of a line that it is no payment of a customer's",
        ignore,
        roles=MONEY,
        body=Reason,
        answer=LineView,
    ),
    endpoint(
        "POST",
        f"{_ONE}/reopen",
        "Take a line up again that was ignored, or is no duplicate",
        reopen,
        roles=MONEY,
        body=Reason,
        answer=LineView,
    ),
)
