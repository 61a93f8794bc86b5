"""Payments, refunds and chargebacks over HTTP."""

from datetime import datetime
from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import Meta

from billing.documents.archive import DocumentKind, File, Format, fetch
from billing.payments import chargebacks, refunds, register
from billing.payments.chargebacks import Chargeback, ChargebackStatus
from billing.payments.payment import Method, Payment, PaymentStatus
from billing.payments.refunds import Refund
from billing.payments.register import NewPayment
from ratewire.documents import DOCUMENTS
from ratewire.http.amounts import Amount, read, shown
from ratewire.http.endpoint import (
    CARE,
    MONEY,
    READERS,
    Call,
    Currency,
    Name,
    Nothing,
    Page,
    endpoint,
)
from ratewire.refunding import refund_payment

#: Whether a payment that has succeeded pays open invoices, the soonest due first.
Allocate: TypeAlias = Literal["oldest", "none"]


class PaymentRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A payment that was received, or is to come (`status` pending).

    Once it has succeeded it pays the account's open invoices, the soonest due first (`allocate`
    none: it stays credit).
    """

    account: Name
    amount: Amount
    currency: Currency
    method: Method
    status: PaymentStatus = PaymentStatus.SUCCEEDED
    reference: str = ""
    description: str = ""
    allocate: Allocate = "oldest"


class PaymentView(msgspec.Struct, frozen=True):
    """A payment. What of it is on documents, went back, or is disputed."""

    id: int
    account: str
    currency: str
    amount: str
    method: Method
    status: PaymentStatus
    gateway: str
    gateway_reference: str | None
    reference: str
    description: str
    failure: str
    actor: str
    created_at: datetime
    settled_at: datetime | None
    allocated: str
    unallocated: str
    refunded: str
    refundable: str
    disputed: str
    lost: str


class Payments(msgspec.Struct, frozen=True):
    """Payments, newest first."""

    data: list[PaymentView]
    next: str | None


class PaymentsQuery(Page, frozen=True):
    """Which payments; `reference` is the payer's or the gateway's."""

    account: str | None = None
    status: PaymentStatus | None = None
    method: Method | None = None
    reference: str | None = None
    since: datetime | None = None


class Conclusion(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What became of a payment that was pending or unknown."""

    status: PaymentStatus
    failure: str = ""
    allocate: Allocate = "oldest"


class RefundRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Money to go back; without an amount, all that can."""

    reason: Annotated[str, Meta(min_length=1, max_length=255)]
    amount: Amount | None = None


class RefundView(msgspec.Struct, frozen=True):
    """Money that went back."""

    id: int
    payment: int
    amount: str
    reason: str
    actor: str
    refunded_at: datetime


class Refunds(msgspec.Struct, frozen=True):
    """The refunds of a payment, oldest first."""

    data: list[RefundView]


class ChargebackRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Money that the bank took back, under its reference; without an amount, all of it."""

    reference: Annotated[str, Meta(min_length=1, max_length=255)]
    amount: Amount | None = None
    reason: str = ""


class ChargebackEnd(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a chargeback ended: won or lost, and what the bank asks for it."""

    status: ChargebackStatus
    fee: Amount = "0"


class ChargebackView(msgspec.Struct, frozen=True):
    """A chargeback."""

    id: int
    payment: int
    amount: str
    status: ChargebackStatus
    reference: str
    reason: str
    fee: str
    actor: str
    opened_at: datetime
    closed_at: datetime | None


class Chargebacks(msgspec.Struct, frozen=True):
    """Chargebacks, newest first."""

    data: list[ChargebackView]
    next: str | None


class ChargebacksQuery(Page, frozen=True):
    """Which chargebacks."""

    status: ChargebackStatus | None = None


def view(payment: Payment) -> PaymentView:
    """Return a payment as the API tells it."""

    def money(micros: int) -> str:
        return shown(micros, payment.currency)

    return PaymentView(
        id=payment.payment_id,
        account=payment.account,
        currency=payment.currency,
        amount=money(payment.amount_micros),
        method=payment.method,
        status=payment.status,
        gateway=payment.gateway,
        gateway_reference=payment.gateway_reference,
        reference=payment.reference,
        description=payment.description,
        failure=payment.failure,
        actor=payment.actor,
        created_at=payment.created_at,
        settled_at=payment.settled_at,
        allocated=money(payment.allocated_micros),
        unallocated=money(payment.unallocated_micros),
        refunded=money(payment.refunded_micros),
        refundable=money(payment.refundable_micros),
        disputed=money(payment.disputed_micros),
        lost=money(payment.lost_micros),
    )


async def receive(call: Call[Nothing, PaymentRequest]) -> PaymentView:
    """Receive a payment."""
    new = call.body
    received = await register.receive(
        call.conn,
        NewPayment(
            account=new.account,
            amount_micros=read(new.amount, "amount"),
            method=new.method,
            status=new.status,
            currency=new.currency,
            reference=new.reference,
            description=new.description,
            key=call.key,
            on_invoices=new.allocate == "oldest",
        ),
        actor=call.actor,
        now=call.now,
    )
    return view(received.payment)


async def list_(call: Call[PaymentsQuery, Nothing]) -> Payments:
    """List payments."""
    query = call.query
    found = await register.list_(
        call.conn,
        before=query.number(),
        account=query.account,
        status=query.status,
        method=query.method,
        reference=query.reference,
        since=query.since,
        limit=query.limit + 1,
    )
    page, more = query.cut(found, lambda each: each.payment_id)
    return Payments([view(each) for each in page], more)


async def get(call: Call[Nothing, Nothing]) -> PaymentView:
    """Read one."""
    return view(await register.get(call.conn, int(call.path["payment_id"])))


async def receipt(call: Call[Nothing, Nothing]) -> File:
    """Return the receipt of one as PDF."""
    number, kind = int(call.path["payment_id"]), DocumentKind.RECEIPT
    return await fetch(call.conn, call.system.documents, kind, number, Format.PDF, now=call.now)


async def conclude(call: Call[Nothing, Conclusion]) -> PaymentView:
    """Note what became of one."""
    payment = await register.conclude(
        call.conn,
        int(call.path["payment_id"]),
        call.body.status,
        failure=call.body.failure,
        on_invoices=call.body.allocate == "oldest",
        actor=call.actor,
        now=call.now,
    )
    return view(payment)


async def refund(call: Call[Nothing, RefundRequest]) -> RefundView:
    """Give money of one back."""
    amount = call.body.amount
    done = await refund_payment(
        call.system,
        call.conn,
        int(call.path["payment_id"]),
        None if amount is None else read(amount, "amount"),
        reason=call.body.reason,
        key=call.key,
        actor=call.actor,
        now=call.now,
    )
    payment = await register.get(call.conn, done.refund.payment_id)
    return _refund(done.refund, payment.currency)


async def refunds_of(call: Call[Nothing, Nothing]) -> Refunds:
    """List the refunds of one."""
    payment = await register.get(call.conn, int(call.path["payment_id"]))
    found = await refunds.of_payment(call.conn, payment.payment_id)
    return Refunds([_refund(each, payment.currency) for each in found])


async def dispute(call: Call[Nothing, ChargebackRequest]) -> ChargebackView:
    """Note that the bank took money of one back."""
    amount = call.body.amount
    found = await chargebacks.open_(
        call.conn,
        int(call.path["payment_id"]),
        None if amount is None else read(amount, "amount"),
        reference=call.body.reference,
        reason=call.body.reason,
        actor=call.actor,
        now=call.now,
    )
    return _chargeback(found)


async def end_dispute(call: Call[Nothing, ChargebackEnd]) -> ChargebackView:
    """Note how a chargeback ended."""
    found = await chargebacks.close(
        call.conn,
        int(call.path["chargeback_id"]),
        call.body.status,
        DOCUMENTS,
        fee_micros=read(call.body.fee, "fee"),
        actor=call.actor,
        now=call.now,
    )
    return _chargeback(found)


async def disputes(call: Call[ChargebacksQuery, Nothing]) -> Chargebacks:
    """List chargebacks."""
    found = await chargebacks.list_(
        call.conn,
        before=call.query.number(),
        status=call.query.status,
        limit=call.query.limit + 1,
    )
    page, more = call.query.cut(found, lambda each: each.chargeback_id)
    return Chargebacks([_chargeback(each) for each in page], more)


def _refund(of: Refund, currency: str) -> RefundView:
    amount = shown(of.amount_micros, currency)
    return RefundView(of.refund_id, of.payment_id, amount, of.reason, of.actor, of.refunded_at)


def _chargeback(of: Chargeback) -> ChargebackView:
    return ChargebackView(
        id=of.chargeback_id,
        payment=of.payment_id,
        amount=shown(of.amount_micros, of.currency),
        status=of.status,
        reference=of.reference,
        reason=of.reason,
        fee=shown(of.fee_micros, of.currency),
        actor=of.actor,
        opened_at=of.opened_at,
        closed_at=of.closed_at,
    )


_ALL = "billing/payments/"
_ONE = "billing/payments/{payment_id}"

ENDPOINTS = (
    endpoint(
        "POST",
        _ALL,
        "Receive a payment",
        receive,
        roles=CARE,
        body=PaymentRequest,
        answer=PaymentView,
        status=201,
    ),
    endpoint(
        "GET", _ALL, "List payments", list_, roles=READERS, query=PaymentsQuery, answer=Payments
    ),
    endpoint("GET", _ONE, "Read a payment", get, roles=READERS, answer=PaymentView),
    endpoint(
        "GET",
        f"{_ONE}/receipt",
        "Read the receipt of a payment as PDF",
        receipt,
        roles=READERS,
        answer=File,
        media_types=("application/pdf",),
    ),
    endpoint(
        "PATCH",
        _ONE,
        "Note what became of a pending payment",
        conclude,
        roles=MONEY,
        body=Conclusion,
        answer=PaymentView,
    ),
    endpoint(
        "POST",
        f"{_ONE}/refund",
        "Give money of a payment back",
        refund,
        roles=MONEY,
        body=RefundRequest,
        answer=RefundView,
        status=201,
    ),
    endpoint(
        "GET",
        f"{_ONE}/refunds",
        "List the refunds of a payment",
        refunds_of,
        roles=READERS,
        answer=Refunds,
    ),
    endpoint(
        "POST",
        f"{_ONE}/chargebacks",
        "Note that the bank took money back",
        dispute,
        roles=MONEY,
        body=ChargebackRequest,
        answer=ChargebackView,
        status=201,
    ),
    endpoint(
        "GET",
        "billing/chargebacks/",
        "List chargebacks",
        disputes,
        roles=READERS,
        query=ChargebacksQuery,
        answer=Chargebacks,
    ),
    endpoint(
        "PATCH",
        "billing/chargebacks/{chargeback_id}",
        "Note how a chargeback ended",
        end_dispute,
        roles=MONEY,
        body=ChargebackEnd,
        answer=ChargebackView,
    ),
)
