"""Coupons are redeemed while they are valid, as often as they may be, once by each account."""

import asyncio
from datetime import date, datetime, timedelta

import msgspec
import pytest

from billing.accounts import register as accounts
from billing.coupons import register
from billing.coupons.discount import Entitlement, Terms
from billing.coupons.register import Coupon, Use
from billing.database import Connection, Pool
from billing.errors import Conflict, InvalidInput, NotFound

TODAY = date(2026, 3, 14)
TWICE = Coupon(
    code="TWICE",
    description="Five off, twice",
    terms=Terms(amount_micros=5_000_000, currency="EUR", cycles=2),
    valid_from=TODAY,
    valid_until=TODAY + timedelta(days=7),
    most_redemptions=2,
)


async def redeem(conn: Connection, now: datetime, account: str, code: str = "TWICE") -> Coupon:
    return await register.redeem(conn, code, account, today=TODAY, actor="staff", now=now)


@pytest.fixture
async def accounts_of_three(conn: Connection, now: datetime) -> None:
    for name in ("a", "b", "c"):
        await accounts.create(conn, name, "EUR", now=now)


@pytest.mark.usefixtures("accounts_of_three")
async def test_a_coupon_takes_off_its_part_in_as_many_cycles_as_it_says(
    conn: Connection, now: datetime
) -> None:
    assert await register.create(conn, TWICE, now) == TWICE
    assert (await redeem(conn, now, "a")).redemptions == 1
    march, april, may = (date(2026, month, 1) for month in (3, 4, 5))
    [had] = (await register.redeemed_by(conn, ["a", "b"]))["a"]
    key = had.redemption
    assert had.entitlement(march) == Entitlement(key, TWICE.terms, 5_000_000)
    # what was used in a cycle counts for that cycle, however often it is billed
    await register.note_uses(conn, [Use(key, march, 1_000_000, 1)])
    await register.note_uses(conn, [Use(key, march, 3_000_000, 2), Use(key, april, 5_000_000, 2)])
    await register.note_uses(conn, [])
    [had] = (await register.redeemed_by(conn, ["a"]))["a"]
    assert had.taken == {march: 4_000_000, april: 5_000_000}
    assert had.entitlement(march) == Entitlement(key, TWICE.terms, 1_000_000)
    assert had.entitlement(april) == Entitlement(key, TWICE.terms, 0)
    assert had.entitlement(may) is None
    await register.revoke(conn, "TWICE", "a", now)
    assert await register.redeemed_by(conn, ["a"]) == {}
    with pytest.raises(NotFound, match="does not have coupon TWICE"):
        await register.revoke(conn, "TWICE", "a", now)


@pytest.mark.usefixtures("accounts_of_three")
async def test_it_is_redeemed_once_by_each_and_no_more_often_than_it_may_be(
    conn: Connection, pool: Pool, now: datetime
) -> None:
    await register.create(conn, TWICE, now)

    async def try_to(account: str) -> bool:
        async with pool.acquire() as own:
            try:
                await redeem(own, now, account)
            except Conflict:
                return False
            return True

    tried = await asyncio.gather(*(try_to(name) for name in ("a", "a", "b", "b", "c", "c")))
    assert sum(tried) == 2
    assert (await register.get(conn, "TWICE")).redemptions == 2
    assert await conn.fetchval("SELECT count(*) FROM coupon_redemptions") == 2


@pytest.mark.usefixtures("accounts_of_three")
async def test_what_cannot_be_redeemed_says_why(conn: Connection, now: datetime) -> None:
    replace = msgspec.structs.replace
    for coupon in (
        replace(TWICE, code="early", valid_from=TODAY + timedelta(days=1)),
        replace(TWICE, code="late", valid_until=TODAY, valid_from=None),
        replace(TWICE, code="gone"),
        replace(TWICE, code="dollars", terms=Terms(amount_micros=10_000, currency="USD")),
        TWICE,
    ):
        await register.create(conn, coupon, now)
    assert (await register.withdraw(conn, "gone", now)).withdrawn_at == now
    for code, message in (
        ("early", "is valid from 2026-03-15 on"),
        ("late", "was valid until 2026-03-14"),
        ("gone", "is withdrawn"),
        ("dollars", "is in USD, account a in EUR"),
    ):
        with pytest.raises(Conflict, match=message):
            await redeem(conn, now, "a", code)
    with pytest.raises(NotFound, match="coupon none"):
        await redeem(conn, now, "a", "none")
    with pytest.raises(Conflict, match="withdrawn already"):
        await register.withdraw(conn, "gone", now)
    await redeem(conn, now, "a")
    with pytest.raises(Conflict, match="account a has coupon TWICE already"):
        await redeem(conn, now, "a")


async def test_coupons_that_cannot_be_are_refused(conn: Connection, now: datetime) -> None:
    for change, message in (
        ({"code": "a b"}, "code 'a b'"),
        ({"valid_until": TODAY}, "never valid"),
        ({"most_redemptions": 0}, "most_redemptions is 0"),
    ):
        with pytest.raises(InvalidInput, match=message):
            await register.create(conn, msgspec.structs.replace(TWICE, **change), now)
    await register.create(conn, TWICE, now)
    with pytest.raises(Conflict, match="exists already"):
        await register.create(conn, TWICE, now)
    second = msgspec.structs.replace(TWICE, code="U")
    await register.create(conn, second, now)
    assert await register.list_(conn, limit=1) == [TWICE]
    assert await register.list_(conn, after="TWICE") == [second]
