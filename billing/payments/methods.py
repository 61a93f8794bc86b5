"""How accounts pay: what a gateway keeps for us under a token. No card number comes here."""

import re
from datetime import date, datetime
from typing import Final

import asyncpg
import msgspec

from billing.accounts.register import lock, refuse_closed
from billing.database import Connection
from billing.errors import Conflict, InvalidInput, NotFound
from billing.payments.payment import Method, text
from billing.sealing.keyring import Keyring
from billing.statements import load

SQL = load(__package__, "queries.sql")

#: What a gateway can be asked to charge again.
REUSABLE: Final = frozenset({Method.CARD, Method.BANK_TRANSFER, Method.DIRECT_DEBIT, Method.WALLET})

#: Twelve digits or more in one piece, blanks and dashes apart: nobody's label, but a card's number.
_LOOKS_LIKE_A_CARD: Final = re.compile(r"(?:\d[ -]?){12,}")


class PaymentMethod(msgspec.Struct, frozen=True):
    """A way in which an account pays. `label` is for people ("Visa ending 4242")."""

    method_id: int
    account: str
    kind: Method
    gateway: str
    label: str
    expires_on: date | None
    is_default: bool
    created_at: datetime


async def add(
    conn: Connection,
    keyring: Keyring,
    account: str,
    kind: Method,
    *,
    gateway: str,
    token: bytes | None,
    label: str,
    expires_on: date | None = None,
    default: bool = False,
    now: datetime,
) -> PaymentMethod:
    """Add a method to an account; its first one becomes the default.

    Raises NotFound; Conflict when the account is closed; InvalidInput, also for what looks like a
    card's number.
    """
    if kind not in REUSABLE:
        raise InvalidInput(f"{kind} is no method that can be kept; allowed: {', '.join(REUSABLE)}")
    for name, value in (("label", label), ("token", (token or b"").decode("latin-1"))):
        if _LOOKS_LIKE_A_CARD.search(value):
            raise InvalidInput(f"{name} looks like a card's number, which is not to be kept here")
    if not text(label, "label") or not text(gateway, "gateway"):
        raise InvalidInput("a payment method needs a label and a gateway")
    async with conn.transaction():
        refuse_closed(await lock(conn, account))
        sealed = None if token is None else keyring.seal(token, _purpose(account))
        method_id = await conn.fetchval(
            SQL["add_method"], account, kind, gateway, sealed, label, expires_on, now
        )
        if default or len(await of_account(conn, account)) == 1:
            await conn.execute(SQL["clear_default"], account)
            await conn.execute(SQL["set_default"], method_id)
        return await get(conn, method_id)


async def get(conn: Connection, method_id: int) -> PaymentMethod:
    """Return a method that was not removed. Raises NotFound."""
    row = await conn.fetchrow(SQL["get_method"], method_id)
    if row is None or row["removed_at"] is not None:
        raise NotFound(f"payment method {method_id} does not exist")
    return _method(row)


async def token(conn: Connection, keyring: Keyring, method_id: int) -> bytes | None:
    """Return what the gateway calls a method; None if it gave no name. Raises NotFound."""
    found = await get(conn, method_id)
    row = await conn.fetchrow(SQL["get_method"], method_id)
    assert row is not None
    sealed = row["token_sealed"]
    return None if sealed is None else keyring.unseal(sealed, _purpose(found.account))


async def of_account(conn: Connection, account: str) -> list[PaymentMethod]:
    """Return the methods of an account, oldest first."""
    return [_method(row) for row in await conn.fetch(SQL["methods_of_account"], account)]


async def make_default(conn: Connection, method_id: int) -> PaymentMethod:
    """Make a method its account's default. Raises NotFound."""
    async with conn.transaction():
        found = await get(conn, method_id)
        await lock(conn, found.account)
        await conn.execute(SQL["clear_default"], found.account)
        if await conn.execute(SQL["set_default"], method_id) != "UPDATE 1":
            raise Conflict(f"payment method {method_id} was just removed")
        return await get(conn, method_id)


async def remove(conn: Connection, method_id: int, *, now: datetime) -> None:
    """Forget a method and its token. Raises NotFound."""
    async with conn.transaction():
        await lock(conn, (await get(conn, method_id)).account)
        if await conn.fetchval(SQL["remove_method"], method_id, now) is None:
            raise NotFound(f"payment method {method_id} does not exist")


def _purpose(account: str) -> str:
    return f"payment method of {account}"


def _method(row: asyncpg.Record) -> PaymentMethod:
    return PaymentMethod(
        method_id=row["method_id"],
        account=row["account_id"],
        kind=Method(row["kind"]),
        gateway=row["gateway"],
        label=row["label"],
        expires_on=row["expires_on"],
        is_default=row["is_default"],
        created_at=row["created_at"],
    )
