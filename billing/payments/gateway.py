"""The port to whoever moves money, the gateway of a person at a desk, and asking one for money.

A payment is written as pending before a gateway is asked, and what it said after: a process that
dies between leaves a payment whose state can be asked for, and never money that nobody knows of.
"""

from datetime import datetime
from typing import Protocol

import msgspec

from billing.database import Connection, Pool
from billing.errors import Conflict, InvalidInput
from billing.payments.payment import Payment, PaymentStatus
from billing.payments.refunds import Refunded, refund, refundable, under_key
from billing.payments.register import (
    MANUAL,
    NewPayment,
    Received,
    conclude,
    get,
    hold,
    receive,
)


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

    async def state(self, key: str, reference: str | None, since: datetime, /) -> Answer:
        """Ask what became of a collection that was begun at `since`, minutes ago or more."""
        ...


class Refunder(Gateway, Protocol):
    """A gateway that gives money back itself."""

    async def refund(self, reference: str, micros: int, currency: str, key: str) -> Answer:
        """Give a part of a collection back, once for each key."""
        ...


class ManualGateway:
    """Money that staff take themselves: what they book has happened."""

    name = MANUAL

    async def collect(self, _charge: Charge, /) -> Answer:
        """The money is on the desk."""
        return Answer(PaymentStatus.SUCCEEDED)

    async def state(self, _key: str, reference: str | None, _since: datetime, /) -> Answer:
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
    answer = await gateway.collect(charge_of(payment, token))
    return Received(await _note(pool, payment, answer, actor, now), received.repeated)


def key_of(payment_id: int) -> str:
    """Return what gateways know a payment as."""
    return f"payment-{payment_id}"


def charge_of(payment: Payment, token: bytes | None = None) -> Charge:
    """Return what a gateway is asked to collect for a payment."""
    return Charge(
        key_of(payment.payment_id),
        payment.account,
        payment.currency,
        payment.amount_micros,
        token,
    )


async def ask_again(
    pool: Pool, gateway: Gateway, payment: Payment, *, actor: str, now: datetime
) -> Payment:
    """Ask a gateway what became of a payment that is pending or unknown, and note it."""
    answer = await gateway.state(
        key_of(payment.payment_id), payment.gateway_reference, payment.created_at
    )
    return await _note(pool, payment, answer, actor, now)


async def give_back(
    conn: Connection,
    gateway: Refunder,
    payment_id: int,
    micros: int | None = None,
    *,
    reason: str,
    key: str,
    actor: str,
    now: datetime,
) -> Refunded:
    """Have a gateway give a part of a payment back (None: all that can be), and book that.

    The account is held meanwhile, so what was checked holds when the money is gone; and what the
    gateway tells of the refund waits for it. Should this process die between, that books it.
    Raises as `refund` does, and Conflict when the gateway does not do it, or does not answer: it
    may have been done, and is booked when the gateway tells it, or when asked again under the key.
    """
    async with conn.transaction():
        held, payment = await hold(conn, payment_id)
        earlier = await under_key(conn, payment_id, key, micros)
        if earlier is not None:
            return Refunded(earlier, repeated=True)
        wanted = await refundable(conn, held, payment, micros)
        if payment.gateway != gateway.name or payment.gateway_reference is None:
            raise Conflict(f"payment {payment_id} was not made by {gateway.name}")
        answer = await gateway.refund(
            payment.gateway_reference, wanted, payment.currency, f"refund-{payment_id}-{key}"
        )
        if answer.status is not PaymentStatus.SUCCEEDED or answer.reference is None:
            said = answer.failure or "it does not answer now; ask again under the same key"
            raise Conflict(f"{gateway.name} did not refund payment {payment_id}: {said}")
        return await refund(
            conn,
            payment_id,
            wanted,
            reason=reason,
            gateway_reference=answer.reference,
            key=key,
            actor=actor,
            now=now,
        )


async def _note(pool: Pool, payment: Payment, answer: Answer, actor: str, now: datetime) -> Payment:
    if answer.status is payment.status:
        return payment
    async with pool.acquire() as conn:
        try:
            return await conclude(
                conn,
                payment.payment_id,
                answer.status,
                failure=answer.failure,
                gateway_reference=answer.reference,
                actor=actor,
                now=now,
            )
        except Conflict:
            # The gateway told the end of it in another way, before this answer came.
            return await get(conn, payment.payment_id)
