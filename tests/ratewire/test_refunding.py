"""A refund is made by whoever took the money."""

import pytest

from billing.errors import Conflict
from billing.payments.payment import Method
from billing.payments.register import NewPayment, receive
from ratewire.refunding import refund_payment
from ratewire.wiring import System, now
from tests.ratewire.office import Office

EURO = 1_000_000


async def test_staff_refund_what_they_took_and_not_what_a_gateway_did(
    system: System, office: Office
) -> None:
    await office.subscribe(0)
    async with (await system.pool()).acquire() as conn:
        for gateway in ("manual", "stripe"):
            new = NewPayment(
                "acme", EURO, Method.CARD, gateway=gateway, gateway_reference=f"pi_{gateway}"
            )
            number = (await receive(conn, new, actor="test", now=now())).payment.payment_id
            if gateway == "manual":
                done = await refund_payment(
                    system, conn, number, None, reason="r", key=None, actor="test", now=now()
                )
                assert done.refund.amount_micros == EURO
                continue
            with pytest.raises(Conflict, match="made by stripe, which is not set up here"):
                await refund_payment(
                    system, conn, number, None, reason="r", key=None, actor="test", now=now()
                )
