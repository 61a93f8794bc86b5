"""What is kept of how an account pays: a sealed token, one default, and never a card's number."""

from datetime import datetime

import pytest

from billing.database import Connection
from billing.errors import InvalidInput, NotFound
from billing.payments.methods import (
    PaymentMethod,
    add,
    get,
    make_default,
    of_account,
    remove,
    token,
)
from billing.payments.payment import Method
from billing.sealing.keyring import Keyring

KEYS = Keyring([bytes(32)])


async def added(
    conn: Connection, now: datetime, label: str, *, default: bool = False
) -> PaymentMethod:
    return await add(
        conn,
        KEYS,
        "alice",
        Method.CARD,
        gateway="stripe",
        token=b"pm_" + label.encode(),
        label=label,
        default=default,
        now=now,
    )


async def test_the_first_is_the_default_until_another_is(conn: Connection, now: datetime) -> None:
    one, two = await added(conn, now, "Visa 4242"), await added(conn, now, "Visa 1881")
    assert (one.is_default, two.is_default) == (True, False)
    three = await added(conn, now, "Amex 0005", default=True)
    assert [each.is_default for each in await of_account(conn, "alice")] == [False, False, True]
    assert (await make_default(conn, two.method_id)).is_default
    await remove(conn, three.method_id, now=now)
    assert [each.label for each in await of_account(conn, "alice")] == ["Visa 4242", "Visa 1881"]
    for gone in (get(conn, three.method_id), make_default(conn, three.method_id)):
        with pytest.raises(NotFound):
            await gone


async def test_the_token_is_sealed_and_forgotten(conn: Connection, now: datetime) -> None:
    method = await added(conn, now, "Visa 4242")
    assert await token(conn, KEYS, method.method_id) == b"pm_Visa 4242"
    sealed = await conn.fetchval("SELECT token_sealed FROM payment_methods")
    assert b"pm_" not in sealed
    await remove(conn, method.method_id, now=now)
    assert await conn.fetchval("SELECT token_sealed FROM payment_methods") is None


@pytest.mark.parametrize("number", ["4242424242424242", "4242 4242 4242 4242", "3782-822463-10005"])
async def test_a_cards_number_is_refused(conn: Connection, now: datetime, number: str) -> None:
    with pytest.raises(InvalidInput, match="looks like a card's number"):
        await added(conn, now, f"Visa {number}")


async def test_only_what_can_be_charged_again(conn: Connection, now: datetime) -> None:
    with pytest.raises(InvalidInput, match="cash is no method that can be kept"):
        await add(
            conn, KEYS, "alice", Method.CASH, gateway="manual", token=None, label="x", now=now
        )
