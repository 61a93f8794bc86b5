"""A payment is known before a gateway is asked, and asked for once."""

from datetime import datetime

import msgspec
import pytest

from billing.database import Connection, Pool
from billing.errors import InvalidInput
from billing.ledger.statement import balance
from billing.payments.gateway import Answer, Charge, ManualGateway, ask_again, collect
from billing.payments.payment import Method, PaymentStatus
from billing.payments.register import NewPayment, list_

TEN = NewPayment("alice", 10_000_000, Method.CARD, key="k")


class Slow:
    """A gateway that says what it is told to, and remembers what it was asked for."""

    name = "slow"

    def __init__(self, *answers: Answer | Exception) -> None:
        self._answers = list(answers)
        self.asked: list[Charge | tuple[str, str | None]] = []

    async def collect(self, charge: Charge, /) -> Answer:
        self.asked.append(charge)
        return self._next()

    async def state(self, key: str, reference: str | None, _since: datetime, /) -> Answer:
        self.asked.append((key, reference))
        return self._next()

    def _next(self) -> Answer:
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


async def test_money_on_the_desk_is_there(pool: Pool, conn: Connection, now: datetime) -> None:
    done = await collect(pool, ManualGateway(), TEN, actor="staff", now=now)
    assert (done.payment.status, done.payment.gateway) == ("succeeded", "manual")
    again = await collect(pool, ManualGateway(), TEN, actor="staff", now=now)
    assert again.repeated
    assert await balance(conn, "alice") == 10_000_000


async def test_one_that_died_while_it_asked_is_asked_for(
    pool: Pool, conn: Connection, now: datetime
) -> None:
    gateway = Slow(
        ConnectionResetError("gone"),
        Answer(PaymentStatus.UNKNOWN, "pi_7"),
        Answer(PaymentStatus.UNKNOWN, "pi_7"),
        Answer(PaymentStatus.SUCCEEDED, "pi_7"),
    )
    with pytest.raises(ConnectionResetError):
        await collect(pool, gateway, TEN, actor="staff", now=now)
    [pending] = await list_(conn, status=PaymentStatus.PENDING)
    unknown = await ask_again(pool, gateway, pending, actor="poll", now=now)
    assert (unknown.status, unknown.gateway_reference) == ("unknown", "pi_7")
    assert await ask_again(pool, gateway, unknown, actor="poll", now=now) == unknown
    paid = await ask_again(pool, gateway, unknown, actor="poll", now=now)
    assert paid.status is PaymentStatus.SUCCEEDED
    assert await balance(conn, "alice") == 10_000_000
    # Under its key it is known by now, and the gateway is left alone.
    repeated = await collect(pool, gateway, TEN, actor="staff", now=now)
    assert (repeated.payment, len(gateway.asked)) == (paid, 4)
    assert gateway.asked[-1] == (f"payment-{paid.payment_id}", "pi_7")


async def test_a_refusal_is_an_answer(pool: Pool, conn: Connection, now: datetime) -> None:
    gateway = Slow(Answer(PaymentStatus.FAILED, "pi_1", "card declined"))
    done = await collect(pool, gateway, TEN, actor="staff", now=now)
    assert (done.payment.status, done.payment.failure) == ("failed", "card declined")
    assert await balance(conn, "alice") == 0


async def test_without_a_key_nobody_is_asked(pool: Pool, now: datetime) -> None:
    with pytest.raises(InvalidInput, match="needs an idempotency key"):
        await collect(
            pool, ManualGateway(), msgspec.structs.replace(TEN, key=None), actor="x", now=now
        )
