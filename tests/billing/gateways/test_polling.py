"""When a gateway is asked about a payment: soon, a checkout after a day, then ever less."""

from datetime import datetime, timedelta

from billing.database import Connection, Pool
from billing.gateways.polling import ask
from billing.payments.gateway import Answer, Charge
from billing.payments.payment import Method, PaymentStatus
from billing.payments.register import NewPayment, receive


class Silent:
    """A gateway that does not say what became of a payment, and notes what it was asked."""

    name = "stripe-test"

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def collect(self, _charge: Charge, /) -> Answer:
        return Answer(PaymentStatus.UNKNOWN)

    async def state(self, key: str, _reference: str | None, _since: datetime, /) -> Answer:
        self.asked.append(key)
        return Answer(PaymentStatus.UNKNOWN)


async def test_each_payment_is_asked_about_when_its_end_is_due_and_then_ever_less(
    pool: Pool, conn: Connection, now: datetime
) -> None:
    for key, status, gateway in (
        ("unknown", PaymentStatus.UNKNOWN, "stripe-test"),
        ("checkout", PaymentStatus.PENDING, "stripe-test"),
        ("cash", PaymentStatus.PENDING, "manual"),
    ):
        new = NewPayment("alice", 10_000_000, Method.CARD, status, gateway=gateway, key=key)
        await receive(conn, new, actor="test", now=now)
    silent, asked = Silent(), dict[str, list[int]]()
    for minute in range(0, 60 * 30, 5):
        silent.asked.clear()
        await ask(pool, [silent], now + timedelta(minutes=minute))
        for key in silent.asked:
            asked.setdefault(key, []).append(minute)
    assert asked["payment-1"] == [10, 20, 40, 80, 160, 320, 640, 1280]
    assert asked["payment-2"] == [25 * 60]
    assert "payment-3" not in asked
