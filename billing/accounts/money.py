"""Money into and out of an account from outside: top-ups and adjustments."""

from datetime import datetime

import msgspec

from billing.accounts.account import idempotency_key
from billing.accounts.moving import move, require_available
from billing.accounts.register import lock, refuse_closed
from billing.database import Connection
from billing.errors import Conflict, InvalidInput
from billing.invoices.settling import pay_due_from_credit
from billing.ledger.transaction import Kind, adjustment, topup
from billing.statements import load
from rating.money import format_micros

SQL = load(__package__, "queries.sql")


class Receipt(msgspec.Struct, frozen=True):
    """What a top-up or an adjustment did. `repeated`: it had been done before, under this key."""

    account: str
    transaction_id: int
    amount_micros: int
    repeated: bool


async def top_up(
    conn: Connection,
    account: str,
    micros: int,
    *,
    key: str | None = None,
    actor: str,
    description: str = "Top-up",
    now: datetime,
) -> Receipt:
    """Put money received (micros > 0) into an account, once for each idempotency key.

    It pays what the account owes, soonest due first; the rest stays credit.
    The same key with the same amount returns the first receipt. Raises InvalidInput, NotFound, or
    Conflict: the key was used for something else, or the account is closed.
    """
    if micros <= 0:
        raise InvalidInput(f"a top-up of {format_micros(micros)}: allowed is more than 0")
    return await _move(conn, account, micros, Kind.TOPUP, key, actor, description, now)


async def adjust(
    conn: Connection,
    account: str,
    micros: int,
    *,
    reason: str,
    key: str | None = None,
    beyond_limits: bool = False,
    actor: str,
    now: datetime,
) -> Receipt:
    """Give credit (micros > 0) or take it, without money moving, for a reason that is written down.

    What is given pays what the account owes, soonest due first; the rest stays credit.
    Once for each idempotency key; raises as `top_up` does, and Conflict when more would be taken
    than the account has available, unless that is meant (`beyond_limits`: what it owes, a fee). A
    closed account can be adjusted too: that is how its rest is cleared.
    """
    if micros == 0:
        raise InvalidInput("an adjustment of 0: allowed is any other amount")
    if not reason.strip():
        raise InvalidInput("an adjustment needs a reason")
    return await _move(
        conn, account, micros, Kind.ADJUSTMENT, key, actor, reason, now, beyond_limits=beyond_limits
    )


async def _move(
    conn: Connection,
    account: str,
    micros: int,
    kind: Kind,
    key: str | None,
    actor: str,
    description: str,
    now: datetime,
    *,
    beyond_limits: bool = False,
) -> Receipt:
    idempotency_key(key)
    async with conn.transaction():
        # Whoever uses the same key at the same time waits here, and then finds it used.
        held = await lock(conn, account)
        if key is not None:
            earlier = await _posted_under(conn, account, key, kind, micros)
            if earlier is not None:
                return earlier
        if kind is Kind.TOPUP:
            refuse_closed(held)
        if micros < 0 and not beyond_limits:
            await require_available(conn, held, -micros)
        make = topup if kind is Kind.TOPUP else adjustment
        made = make(
            account,
            held.currency,
            micros,
            actor=actor,
            description=description,
            idempotency_key=key,
        )
        transaction_id = await move(conn, held, made, micros, now)
        await pay_due_from_credit(conn, account, micros, actor=actor, now=now)
    return Receipt(account, transaction_id, micros, repeated=False)


async def _posted_under(
    conn: Connection, account: str, key: str, kind: Kind, micros: int
) -> Receipt | None:
    row = await conn.fetchrow(SQL["posted_under_key"], account, key)
    if row is None:
        return None
    if (row["kind"], row["micros"]) != (kind, micros):
        raise Conflict(
            f"account {account}: the key {key!r} was used for a {row['kind']} of"
            f" {format_micros(row['micros'])} (transaction {row['transaction_id']}),"
            f" not for a {kind} of {format_micros(micros)}"
        )
    return Receipt(account, row["transaction_id"], micros, repeated=True)
