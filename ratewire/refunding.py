"""Refunds by whoever took the money: the gateway of the payment, or staff."""

import secrets
from datetime import datetime

from billing.database import Connection
from billing.errors import Conflict
from billing.payments import register
from billing.payments.gateway import give_back
from billing.payments.refunds import Refunded, refund
from billing.payments.register import MANUAL
from ratewire.wiring import System


async def refund_payment(
    system: System,
    conn: Connection,
    payment_id: int,
    micros: int | None,
    *,
    reason: str,
    key: str | None,
    actor: str,
    now: datetime,
) -> Refunded:
    """Give money of a payment back (None: all that can be), by its gateway if it has one.

    Raises as `billing.payments.refunds.refund` and `billing.payments.gateway.give_back` do.
    """
    payment = await register.get(conn, payment_id)
    if payment.gateway == MANUAL:
        return await refund(conn, payment_id, micros, reason=reason, key=key, actor=actor, now=now)
    gateway = system.gateways.get(payment.gateway)
    if gateway is None:
        raise Conflict(
            f"payment {payment_id} was made by {payment.gateway}, which is not set up here;"
            " allowed is to refund it there"
        )
    return await give_back(
        conn,
        gateway,
        payment_id,
        micros,
        reason=reason,
        key=key or secrets.token_hex(16),
        actor=actor,
        now=now,
    )
