"""The port to whoever moves money, the gateway of a person at a desk, and asking one for money.

A payment is written as pending before a gateway is asked, and what it said after: a process that
dies between leaves a payment whose state can be asked for, and never money that nobody knows of.
"""

from datetime import datetime
from typing import Protocol

import msgspec

from billing.database import Pool
from billing.errors import InvalidInput
from billing.payments.payment import Payment, PaymentStatus
from billing.payments.register import MANUAL, NewPayment, Received, conclude, receive


class Charge(msgspec.Struct, frozen=True):
    """What a gateway is asked to collect (micros). `key` makes asking again harmless."""

    key: str
    account: str
    currency: str
    amount_micros: int
    token: bytes | None = None


class Answer(msgspec.Struct, frozen=True):
    """What a gateway said. UNKNOWN: it did not; its `state` has to be asked later."""

    status: PaymentStatus
    reference: str | None = None
    failure: str = ""


class Gateway(Protocol):
    """Whoever moves the money. What the payer's bank says is an answer, and never raised."""

    name: str

    async def collect(self, charge: Charge, /) -> Answer:
        """Ask for money."""
        ...

    async def state(self, key: str, reference: str | None, /) -> Answer:
        """Ask what became of a collection."""
        ...


class ManualGateway:
    """Money that staff take themselves: what they book has happened."""

    name = MANUAL

    async def collect(self, _charge: Charge, /) -> Answer:
        """The money is on the desk."""
        return Answer(PaymentStatus.SUCCEEDED)

    async def state(self, _key: str, reference: str | None, /) -> Answer:
        """Staff said that it came."""
        return Answer(PaymentStatus.SUCCEEDED, reference)


async def collect(
    pool: Pool,
    gateway: Gateway,
    new: NewPayment,
    *,
    token: bytes | None = None,
    actor: str,
    now: datetime,
) -> Received:
    """Have a gateway collect a payment, which must have a key. Raises as `receive` does.

    Asked again under the same key, the gateway is asked only if it has not answered yet.
    """
    if new.key is None:
        raise InvalidInput("a collection needs an idempotency key")
    pending = msgspec.structs.replace(new, status=PaymentStatus.PENDING, gateway=gateway.name)
    async with pool.acquire() as conn:
        received = await receive(conn, pending, actor=actor, now=now)
    payment = received.payment
    if payment.status is not PaymentStatus.PENDING:
        return received
    charge = Charge(
        f"payment-{payment.payment_id}",
        payment.account,
        payment.currency,
        payment.amount_micros,
        token,
    )
    answer = await gateway.collect(charge)
    return Received(await _note(pool, payment, answer, actor, now), received.repeated)


async def ask_again(
    pool: Pool, gateway: Gateway, payment: Payment, *, actor: str, now: datetime
) -> Payment:
    """Ask a gateway what became of a payment that is pending or unknown, and note it."""
    answer = await gateway.state(f"payment-{payment.payment_id}", payment.gateway_reference)
    return await _note(pool, payment, answer, actor, now)


async def _note(pool: Pool, payment: Payment, answer: Answer, actor: str, now: datetime) -> Payment:
    if answer.status is payment.status:
        return payment
    async with pool.acquire() as conn:
        return await conclude(
            conn,
            payment.payment_id,
            answer.status,
            failure=answer.failure,
            gateway_reference=answer.reference,
            actor=actor,
            now=now,
        )
