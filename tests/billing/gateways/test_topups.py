"""Automatic top-ups: by threshold and by the calendar, one at a time, tried again, given up."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest

from balances.messages import Account, AccountAudit
from billing.database import Connection, Pool
from billing.errors import InvalidInput, NotFound
from billing.gateways import topups
from billing.gateways.polling import ask
from billing.ledger.statement import balance
from billing.payments import methods
from billing.payments.gateway import Answer, Charge
from billing.payments.payment import Method, PaymentStatus
from billing.sealing.keyring import Keyring

EURO = 1_000_000


class Store:
    """What accounts have, as the ledger tells it."""

    def __init__(self, conn: Connection) -> None:
        self._conn = conn

    async def inspect(self, accounts: Sequence[str]) -> list[AccountAudit | None]:
        return [
            AccountAudit(
                Account(name, "EUR", await balance(self._conn, name), 0, 0, 0, 1, 0, 0), 0, 0
            )
            for name in accounts
        ]


class Scripted:
    """A gateway that answers what it is told to."""

    name = "stripe-test"

    def __init__(self, *answers: PaymentStatus) -> None:
        self.answers = list(answers)
        self.charges: list[Charge] = []

    async def collect(self, charge: Charge, /) -> Answer:
        self.charges.append(charge)
        return Answer(self.answers.pop(0), f"pi_{len(self.charges)}")

    async def state(self, key: str, reference: str | None, since: datetime, /) -> Answer:
        return Answer(self.answers.pop(0), reference)


@pytest.fixture
async def method(conn: Connection, keyring: Keyring, now: datetime) -> int:
    added = await methods.add(
        conn,
        keyring,
        "alice",
        Method.CARD,
        gateway="stripe-test",
        token=b"cus_1|pm_1",
        label="Visa ending 4242",
        now=now,
    )
    return added.method_id


async def test_below_its_threshold_an_account_is_topped_up_and_not_again_while_it_has_enough(
    pool: Pool, conn: Connection, keyring: Keyring, method: int, now: datetime
) -> None:
    await topups.set_(conn, "alice", method, 5 * EURO, below_micros=2 * EURO, now=now)
    gateway = Scripted(PaymentStatus.SUCCEEDED)

    async def round_at(moment: datetime) -> int:
        tried = await topups.run(pool, Store(conn), {gateway.name: gateway}, keyring, moment)
        return len(tried)

    assert await round_at(now) == 1
    assert gateway.charges[0].token == b"cus_1|pm_1"
    assert await balance(conn, "alice") == 5 * EURO
    assert await round_at(now + timedelta(hours=1)) == 0


async def test_while_one_is_under_way_none_else_is_tried(
    pool: Pool, conn: Connection, keyring: Keyring, method: int, now: datetime
) -> None:
    await topups.set_(conn, "alice", method, 5 * EURO, below_micros=1, now=now)
    gateway = Scripted(
        PaymentStatus.UNKNOWN, PaymentStatus.UNKNOWN, PaymentStatus.FAILED, PaymentStatus.SUCCEEDED
    )
    store, gateways = Store(conn), {gateway.name: gateway}
    moments = [now + timedelta(minutes=n) for n in range(0, 60, 2)]
    tried = [len(await topups.run(pool, store, gateways, keyring, now))]
    for moment in moments[1:]:
        await ask(pool, [gateway], moment)
        tried.append(len(await topups.run(pool, store, gateways, keyring, moment)))
    # Asked after ten minutes and after twenty, when it had failed: then the next was tried.
    assert [n for n, count in enumerate(tried) if count] == [0, 10]
    assert await balance(conn, "alice") == 5 * EURO


async def test_what_fails_is_tried_on_a_schedule_and_given_up(
    pool: Pool, conn: Connection, keyring: Keyring, method: int, now: datetime
) -> None:
    await topups.set_(conn, "alice", method, 5 * EURO, every_days=30, now=now)
    gateway = Scripted(*[PaymentStatus.FAILED] * 9)
    days: list[int] = []
    for day in range(60):
        moment = now + timedelta(days=day)
        if await topups.run(pool, Store(conn), {gateway.name: gateway}, keyring, moment):
            days.append(day)
    assert days == [0, 1, 4, 9, 16]
    assert (await topups.get(conn, "alice")).try_at is None
    gateway.answers = [PaymentStatus.SUCCEEDED] * 2
    later = now + timedelta(days=60)
    await topups.set_(conn, "alice", method, 5 * EURO, every_days=30, now=later)
    for _ in range(2):
        await topups.run(pool, Store(conn), {gateway.name: gateway}, keyring, later)
    assert (await topups.get(conn, "alice")).try_at == later + timedelta(days=30)
    assert await balance(conn, "alice") == 5 * EURO


async def test_a_topup_that_cannot_be_is_refused(
    conn: Connection, method: int, now: datetime
) -> None:
    for wrong, error in (
        ({}, InvalidInput),
        ({"below_micros": 1, "every_days": 1}, InvalidInput),
        ({"every_days": 367}, InvalidInput),
    ):
        with pytest.raises(error):
            await topups.set_(conn, "alice", method, EURO, **wrong, now=now)
    with pytest.raises(InvalidInput, match="at most 2 decimals"):
        await topups.set_(conn, "alice", method, 1, every_days=1, now=now)
    with pytest.raises(NotFound):
        await topups.set_(conn, "alice", method + 1, EURO, every_days=1, now=now)
    with pytest.raises(NotFound):
        await topups.drop(conn, "alice")
