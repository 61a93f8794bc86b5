"""The register of coupons and promotions, who has them, and what they took off."""

import re
from collections.abc import Sequence
from datetime import date, datetime
from typing import Final

import asyncpg
import msgspec

from billing.accounts.register import lock, refuse_closed
from billing.coupons.discount import Redeemed, Terms
from billing.database import Connection
from billing.errors import Conflict, InvalidInput, NotFound
from billing.offers.offer import Offer
from billing.statements import load

SQL = load(__package__, "queries.sql")

_CODE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")

_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(Terms).decode


class Coupon(msgspec.Struct, frozen=True, kw_only=True):
    """A coupon, or a promotion: that is one that is given by itself to each account that starts a
    service in its scope while it is valid.

    `valid_until` is the first day on which it cannot be redeemed any more; what was redeemed goes
    on. `most_redemptions` None: as many as there are accounts.
    """

    code: str
    description: str
    terms: Terms
    valid_from: date | None = None
    valid_until: date | None = None
    promotion: bool = False
    most_redemptions: int | None = None
    redemptions: int = 0
    withdrawn_at: datetime | None = None


async def create(conn: Connection, coupon: Coupon, now: datetime) -> Coupon:
    """Create a coupon. Raises InvalidInput, or Conflict if its code is taken."""
    if not _CODE.fullmatch(coupon.code):
        raise InvalidInput(
            f"code {coupon.code!r}: allowed are 1 to 64 letters, digits and . _ -,"
            " beginning with a letter or digit"
        )
    if coupon.valid_from and coupon.valid_until and coupon.valid_until <= coupon.valid_from:
        raise InvalidInput(f"coupon {coupon.code}: it is never valid")
    if coupon.most_redemptions is not None and coupon.most_redemptions < 1:
        raise InvalidInput(f"most_redemptions is {coupon.most_redemptions}, allowed is 1 or more")
    created = await conn.fetchval(
        SQL["create"], coupon.code, coupon.description, _encode(coupon.terms), coupon.valid_from,
        coupon.valid_until, coupon.promotion, coupon.most_redemptions, now,
    )  # fmt: skip
    if created is None:
        raise Conflict(f"coupon {coupon.code} exists already")
    return await get(conn, coupon.code)


async def get(conn: Connection, code: str) -> Coupon:
    """Return a coupon. Raises NotFound."""
    row = await conn.fetchrow(SQL["get"], code)
    if row is None:
        raise NotFound(f"coupon {code} does not exist")
    return _coupon(row)


async def list_(conn: Connection, *, after: str = "", limit: int = 1000) -> list[Coupon]:
    """Return the first `limit` coupons whose code follows `after`."""
    return [_coupon(row) for row in await conn.fetch(SQL["list"], after, limit)]


async def withdraw(conn: Connection, code: str, now: datetime) -> Coupon:
    """Let a coupon not be redeemed any more; who has it keeps it. Raises NotFound or Conflict."""
    if await conn.fetchval(SQL["withdraw"], code, now) is None:
        await get(conn, code)
        raise Conflict(f"coupon {code} is withdrawn already")
    return await get(conn, code)


async def redeem(
    conn: Connection, code: str, account: str, *, today: date, actor: str, now: datetime
) -> Coupon:
    """Give a coupon to an account: it takes its part off what is billed from now on.

    Raises NotFound; Conflict if it is not valid today, is in another currency, was redeemed as
    often as it may be, or the account has it or is closed.
    """
    async with conn.transaction():
        held = await lock(conn, account)
        refuse_closed(held)
        coupon = await get(conn, code)
        _check_valid(coupon, today)
        if coupon.terms.currency not in (None, held.currency):
            raise Conflict(
                f"coupon {code} is in {coupon.terms.currency}, account {account} in {held.currency}"
            )
        if not await _give(conn, code, account, actor, now):
            raise Conflict(f"account {account} has coupon {code} already")
        return await get(conn, code)


async def revoke(conn: Connection, code: str, account: str, now: datetime) -> None:
    """Take a coupon from an account: nothing further is taken off. Raises NotFound."""
    if await conn.fetchval(SQL["end"], code, account, now) is None:
        raise NotFound(f"account {account} does not have coupon {code}")


async def give_promotions(
    conn: Connection, account: str, offer: Offer, day: date, *, actor: str, now: datetime
) -> list[str]:
    """Give an account that starts a service of an offer the promotions that hold on that day.

    In the transaction that has taken the account's row. Returns their codes.
    """
    given: list[str] = []
    for row in await conn.fetch(SQL["promotions"], day, account):
        coupon = _coupon(row)
        fits = coupon.terms.currency in (None, offer.currency)
        if fits and (not coupon.terms.offers or offer.name in coupon.terms.offers):
            try:
                if await _give(conn, coupon.code, account, actor, now):
                    given.append(coupon.code)
            except Conflict:
                continue  # all of it is given away
    return given


async def redeemed_by(conn: Connection, accounts: Sequence[str]) -> dict[str, list[Redeemed]]:
    """Return what accounts have redeemed, oldest first; accounts without anything are left out."""
    found: dict[str, list[Redeemed]] = {}
    for row in await conn.fetch(SQL["redeemed_by"], list(accounts)):
        found.setdefault(row["account_id"], []).append(
            Redeemed(
                row["account_id"],
                row["redemption_id"],
                row["code"],
                row["description"],
                _decode(row["terms"]),
                dict(zip(row["cycles"], row["amounts"], strict=True)),
            )
        )
    return found


class Use(msgspec.Struct, frozen=True):
    """What a redemption took off (micros) on an invoice, in the cycle that begins on `cycle`."""

    redemption: int
    cycle: date
    micros: int
    invoice: int


async def note_uses(conn: Connection, uses: Sequence[Use]) -> None:
    """Note what redemptions took off; from an invoice that is no more they take it off again."""
    if uses:
        columns = [list(c) for c in zip(*map(msgspec.structs.astuple, uses), strict=True)]
        await conn.execute(SQL["use"], *columns[:3])
        await conn.execute(SQL["use_on_invoices"], *columns)


async def _give(conn: Connection, code: str, account: str, actor: str, now: datetime) -> bool:
    """Give a coupon; False if the account has it. Raises Conflict if there is none left."""
    async with conn.transaction():
        if await conn.fetchval(SQL["redeem"], code, account, now, actor) is None:
            return False
        if await conn.fetchval(SQL["take"], code) is None:
            raise Conflict(f"coupon {code} was redeemed as often as it may be")
    return True


def _check_valid(coupon: Coupon, today: date) -> None:
    if coupon.withdrawn_at is not None:
        raise Conflict(f"coupon {coupon.code} is withdrawn")
    if coupon.valid_from is not None and today < coupon.valid_from:
        raise Conflict(f"coupon {coupon.code} is valid from {coupon.valid_from} on")
    if coupon.valid_until is not None and today >= coupon.valid_until:
        raise Conflict(f"coupon {coupon.code} was valid until {coupon.valid_until}")


def _coupon(row: asyncpg.Record) -> Coupon:
    return Coupon(
        code=row["code"],
        description=row["description"],
        terms=_decode(row["terms"]),
        valid_from=row["valid_from"],
        valid_until=row["valid_until"],
        promotion=row["promotion"],
        most_redemptions=row["most_redemptions"],
        redemptions=row["redemptions"],
        withdrawn_at=row["withdrawn_at"],
    )
