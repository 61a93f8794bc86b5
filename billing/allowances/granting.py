"""Granting an allowance: it is kept here, and reaches the store as a movement of the account."""

import enum
import re
from datetime import datetime
from typing import Final

import asyncpg
import msgspec

from balances.messages import GrantAllowance
from billing.accounts.account import idempotency_key
from billing.accounts.register import lock, refuse_closed
from billing.catalogue.fields import UNITS
from billing.database import Connection
from billing.errors import Conflict, InvalidInput, NotFound
from billing.outbox.post import UNNUMBERED, post
from billing.statements import load
from rating.allowance import NEVER, Bucket, Unit
from rating.money import MAX_MICROS, AmountError, parse_amount
from rating.tariff import MAX_OCTETS

SQL = load(__package__, "queries.sql")

MAX_PRIORITY: Final = 1_000_000
MAX_TEXT: Final = 255

_QUANTITY: Final = re.compile(r"([0-9]{1,18})(?: ?([A-Za-z]+))?")


class Source(enum.StrEnum):
    """What an allowance comes by: it was paid for, or given."""

    TOPUP = "topup"
    PROMOTION = "promotion"


class NewGrant(msgspec.Struct, frozen=True):
    """What is to be granted: `amount` octets, seconds or micros for usage in [since, until).

    `since` None is now, `until` None never ends. With `plan` only sessions on it, with `username`
    only those of that user name may use it. Of all allowances the lowest `priority` number is used
    first, and of those the soonest to end.
    """

    account: str
    name: str
    unit: Unit
    amount: int
    source: Source
    reason: str
    since: datetime | None = None
    until: datetime | None = None
    priority: int = 100
    plan: str | None = None
    username: str | None = None
    key: str | None = None


class AllowanceGrant(msgspec.Struct, frozen=True):
    """What was granted. `repeated`: it had been granted before, under this key."""

    grant_id: int
    account: str
    name: str
    unit: Unit
    amount: int
    priority: int
    since: datetime
    until: datetime | None
    plan: str | None
    username: str | None
    source: Source
    reason: str
    actor: str
    granted_at: datetime
    repeated: bool


def amount_of(text: str, unit: Unit) -> int:
    """Return the octets, seconds or micros that a text means, as "10 GB", "2 hours", "5.00".

    Raises InvalidInput.
    """
    if unit is Unit.MONEY:
        try:
            return parse_amount(text)
        except AmountError as error:
            raise InvalidInput(str(error)) from error
    units = UNITS["octets" if unit is Unit.OCTETS else "seconds"]
    match = _QUANTITY.fullmatch(text)
    name = match.group(2) if match else None
    factor = 1 if name is None else units.get(name, units.get(name.removesuffix("s")))
    if match is None or factor is None:
        raise InvalidInput(
            f"{text!r}: allowed is a number of {unit}, also with a unit: {', '.join(units)}"
        )
    return int(match.group(1)) * factor


async def grant(conn: Connection, new: NewGrant, *, actor: str, now: datetime) -> AllowanceGrant:
    """Grant an allowance to an account, once for each idempotency key.

    The account's sessions use it from their next report on. The same key with the same grant
    returns the first one. Raises InvalidInput; NotFound for the account, plan or user name;
    Conflict when the key was used for something else, or the account is closed.
    """
    _check(new, now)
    idempotency_key(new.key)
    async with conn.transaction():
        held = await lock(conn, new.account)
        if new.key is not None:
            row = await conn.fetchrow(SQL["granted_under_key"], new.account, new.key)
            if row is not None:
                return _again(row, new)
        refuse_closed(held)
        if new.plan is not None and not await conn.fetchval(SQL["plan_exists"], new.plan):
            raise NotFound(f"plan {new.plan} does not exist")
        if new.username is not None and not await conn.fetchval(
            SQL["user_of"], new.account, new.username
        ):
            raise NotFound(f"account {new.account} has no subscriber {new.username}")
        since = (new.since or now).replace(microsecond=0)
        bucket = Bucket(
            name=new.name,
            unit=new.unit,
            amount=new.amount,
            left=new.amount,
            priority=new.priority,
            since=int(since.timestamp()),
            until=NEVER if new.until is None else int(new.until.timestamp()),
            plan=new.plan or "",
            owner=new.username or "",
            source=new.source,
        )
        movement = GrantAllowance(new.account, UNNUMBERED, bucket)
        [sequence] = await post(conn, [movement], now)
        part = msgspec.structs.replace(movement, sequence=sequence).part()
        row = await conn.fetchrow(
            SQL["grant"],
            *(new.account, sequence, new.key, new.name, new.unit, new.amount, new.priority),
            *(since, new.until, new.plan, new.username, new.source, new.reason, actor, now),
            part,
        )
    assert row is not None
    return _grant(row, repeated=False)


def _check(new: NewGrant, now: datetime) -> None:
    most = MAX_MICROS if new.unit is Unit.MONEY else MAX_OCTETS // 2
    if not 0 < new.amount <= most:
        raise InvalidInput(f"{new.amount} {new.unit}: allowed is 1 to {most}")
    if not new.name or len(new.name) > 64 or not new.name.isprintable():
        raise InvalidInput("an allowance needs a name of 1 to 64 printable characters")
    if not new.reason.strip() or len(new.reason) > MAX_TEXT or "\0" in new.reason:
        raise InvalidInput(f"a reason is needed, of at most {MAX_TEXT} characters")
    if not 0 <= new.priority <= MAX_PRIORITY:
        raise InvalidInput(f"priority is {new.priority}, allowed is 0 to {MAX_PRIORITY}")
    if new.until is not None and not max(new.since or now, now) < new.until:
        raise InvalidInput("an allowance ends after it begins, and not before now")
    for when in (new.since, new.until):
        if when is not None and not 1990 <= when.year <= 2200:
            raise InvalidInput(f"{when.isoformat()}: allowed are the years 1990 to 2200")
    for text in (new.plan, new.username):
        if text is not None and "\0" in text:
            raise InvalidInput("a name holds no NUL")


def _again(row: asyncpg.Record, new: NewGrant) -> AllowanceGrant:
    earlier = _grant(row, repeated=True)
    told = (earlier.name, earlier.unit, earlier.amount, earlier.source)
    if told != (new.name, new.unit, new.amount, new.source):
        raise Conflict(
            f"account {new.account}: the key {new.key!r} was used for {earlier.amount}"
            f" {earlier.unit} of {earlier.name} by {earlier.source} (grant {earlier.grant_id})"
        )
    return earlier


def _grant(row: asyncpg.Record, *, repeated: bool) -> AllowanceGrant:
    return AllowanceGrant(
        grant_id=row["grant_id"],
        account=row["account_id"],
        name=row["name"],
        unit=Unit(row["unit"]),
        amount=row["amount"],
        priority=row["priority"],
        since=row["since"],
        until=row["until"],
        plan=row["plan"],
        username=row["username"],
        source=Source(row["source"]),
        reason=row["reason"],
        actor=row["actor"],
        granted_at=row["granted_at"],
        repeated=repeated,
    )
