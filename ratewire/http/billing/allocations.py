"""Which invoices a payment pays, over HTTP."""

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from billing.errors import InvalidInput
from billing.invoices import reading
from billing.payments import allocation, documents, register
from billing.payments.documents import Allocation
from ratewire.documents import DOCUMENTS, INVOICE
from ratewire.http.amounts import Amount, read, shown
from ratewire.http.endpoint import CARE, READERS, Call, Nothing, endpoint


class AllocationRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is to be paid: so much of one invoice, or (neither) all that are open, oldest first."""

    invoice: Annotated[int, Meta(ge=0, le=2**63 - 1)] | None = None
    amount: Amount | None = None


class Release(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is to be credit of the account again; null: all of it."""

    amount: Amount | None = None


class AllocationView(msgspec.Struct, frozen=True):
    """A part of a payment on an invoice; `released` of it was taken off again."""

    id: int
    payment: int
    invoice: int
    amount: str
    released: str
    allocated_at: datetime


class Allocations(msgspec.Struct, frozen=True):
    """Parts of payments on invoices, oldest first."""

    data: list[AllocationView]


async def allocate(call: Call[Nothing, AllocationRequest]) -> Allocations:
    """Pay invoices with what a payment has left."""
    wanted = call.body
    payment = await register.get(call.conn, int(call.path["payment_id"]))
    if (wanted.invoice is None) != (wanted.amount is None):
        raise InvalidInput("invoice and amount: allowed are both, or neither (oldest first)")
    if wanted.invoice is None or wanted.amount is None:
        done = await allocation.allocate_oldest(
            call.conn,
            payment.payment_id,
            INVOICE,
            DOCUMENTS[INVOICE],
            actor=call.actor,
            now=call.now,
        )
        return _views(done, payment.currency)
    one = await allocation.allocate(
        call.conn,
        payment.payment_id,
        INVOICE,
        wanted.invoice,
        read(wanted.amount, "amount"),
        DOCUMENTS[INVOICE],
        actor=call.actor,
        now=call.now,
    )
    return _views([one], payment.currency)


async def of_payment(call: Call[Nothing, Nothing]) -> Allocations:
    """List the invoices of a payment."""
    payment = await register.get(call.conn, int(call.path["payment_id"]))
    return _views(await documents.of_payment(call.conn, payment.payment_id), payment.currency)


async def of_invoice(call: Call[Nothing, Nothing]) -> Allocations:
    """List the payments of an invoice."""
    invoice = await reading.get(call.conn, int(call.path["invoice_id"]), call.now)
    found = await documents.of_document(call.conn, INVOICE, int(call.path["invoice_id"]))
    return _views(found, invoice.currency)


async def release(call: Call[Nothing, Release]) -> AllocationView:
    """Take a part of a payment off its invoice."""
    amount = call.body.amount
    done = await allocation.release(
        call.conn,
        int(call.path["allocation_id"]),
        DOCUMENTS[INVOICE],
        micros=None if amount is None else read(amount, "amount"),
        actor=call.actor,
        now=call.now,
    )
    payment = await register.get(call.conn, done.payment_id)
    return _view(done, payment.currency)


def _views(found: list[Allocation], currency: str) -> Allocations:
    return Allocations([_view(each, currency) for each in found])


def _view(of: Allocation, currency: str) -> AllocationView:
    return AllocationView(
        of.allocation_id,
        of.payment_id,
        of.document_id,
        shown(of.amount_micros, currency),
        shown(of.released_micros, currency),
        of.allocated_at,
    )


_OF_PAYMENT = "billing/payments/{payment_id}/allocations"

ENDPOINTS = (
    endpoint(
        "GET",
        _OF_PAYMENT,
        "List the invoices that a payment pays",
        of_payment,
        roles=READERS,
        answer=Allocations,
    ),
    endpoint(
        "POST",
        _OF_PAYMENT,
        "Pay invoices with what a payment has left",
        allocate,
        roles=CARE,
        body=AllocationRequest,
        answer=Allocations,
        status=201,
    ),
    endpoint(
        "GET",
        "billing/invoices/{invoice_id}/allocations",
        "List the payments that pay an invoice",
        of_invoice,
        roles=READERS,
        answer=Allocations,
    ),
    endpoint(
        "POST",
        "billing/allocations/{allocation_id}/release",
        "Take a payment off an invoice; it is the account's credit again",
        release,
        roles=CARE,
        body=Release,
        answer=AllocationView,
    ),
)
