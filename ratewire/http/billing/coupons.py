"""Coupons and promotions over HTTP."""

from datetime import date, datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from billing.clock import moved
from billing.coupons import register
from billing.coupons.discount import LineKind, Terms
from billing.coupons.register import Coupon
from billing.cycles.calendar import local_day
from billing.cycles.schedule import zone_of
from billing.errors import InvalidInput
from billing.taxes.rate import format_percent, parse_percent
from ratewire.http.amounts import Amount, read, shown
from ratewire.http.endpoint import CARE, MONEY, READERS, Call, Name, Nothing, Page, endpoint

#: Parts per million of a basis point.
_PPM_PER_BASIS_POINT = 100


class CouponRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What takes off either `percent` or `amount` of each billing cycle, for so many `cycles`.

    `cycles` null is for ever. Of several, the lower `rank` comes first. An empty scope (`kinds`,
    `offers`, `charges`) is everything. `valid_until` is the first day on which it cannot be
    redeemed; a `promotion` is given to each account that starts a service in its scope.
    """

    code: Annotated[str, Meta(pattern="^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    description: Annotated[str, Meta(max_length=255)]
    percent: Annotated[str, Meta(pattern=r"^[0-9]{1,3}(\.[0-9]{1,2})?$")] | None = None
    amount: Amount | None = None
    currency: str | None = None
    cycles: Annotated[int, Meta(ge=1, le=10_000)] | None = 1
    rank: Annotated[int, Meta(ge=-1_000_000, le=1_000_000)] = 100
    kinds: tuple[LineKind, ...] = ()
    offers: tuple[str, ...] = ()
    charges: tuple[str, ...] = ()
    valid_from: date | None = None
    valid_until: date | None = None
    promotion: bool = False
    most_redemptions: Annotated[int, Meta(ge=1, le=2**31 - 1)] | None = None


class CouponView(msgspec.Struct, frozen=True, kw_only=True):
    """A coupon, and how often it was redeemed."""

    code: str
    description: str
    percent: str | None
    amount: str | None
    currency: str | None
    cycles: int | None
    rank: int
    kinds: tuple[LineKind, ...]
    offers: tuple[str, ...]
    charges: tuple[str, ...]
    valid_from: date | None
    valid_until: date | None
    promotion: bool
    most_redemptions: int | None
    redemptions: int
    withdrawn_at: datetime | None


class Coupons(msgspec.Struct, frozen=True):
    """Coupons by code."""

    data: list[CouponView]
    next: str | None


class Redeem(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which account it is given to."""

    account: Name


async def create(call: Call[Nothing, CouponRequest]) -> CouponView:
    """Make one."""
    new = call.body
    terms = Terms(
        basis_points=None if new.percent is None else _basis_points(new.percent),
        amount_micros=None if new.amount is None else read(new.amount, "amount"),
        currency=new.currency,
        cycles=new.cycles,
        rank=new.rank,
        kinds=new.kinds,
        offers=new.offers,
        charges=new.charges,
    )
    made = Coupon(
        code=new.code,
        description=new.description,
        terms=terms,
        valid_from=new.valid_from,
        valid_until=new.valid_until,
        promotion=new.promotion,
        most_redemptions=new.most_redemptions,
    )
    return _view(await register.create(call.conn, made, call.now))


async def list_(call: Call[Page, Nothing]) -> Coupons:
    """List them."""
    query = call.query
    found = await register.list_(call.conn, after=query.cursor or "", limit=query.limit + 1)
    page, more = query.cut(found, lambda each: each.code)
    return Coupons([_view(each) for each in page], more)


async def get(call: Call[Nothing, Nothing]) -> CouponView:
    """Read one."""
    return _view(await register.get(call.conn, call.path["coupon"]))


async def withdraw(call: Call[Nothing, Nothing]) -> CouponView:
    """Let one not be redeemed any more."""
    return _view(await register.withdraw(call.conn, call.path["coupon"], call.now))


async def redeem(call: Call[Nothing, Redeem]) -> CouponView:
    """Give one to an account."""
    account, now = call.body.account, await moved.current(call.conn, call.now)
    today = local_day(now, await zone_of(call.conn, account))
    coupon = await register.redeem(
        call.conn, call.path["coupon"], account, today=today, actor=call.actor, now=now
    )
    return _view(coupon)


async def take_back(call: Call[Nothing, Redeem]) -> None:
    """Take one from an account."""
    now = await moved.current(call.conn, call.now)
    await register.revoke(call.conn, call.path["coupon"], call.body.account, now)


def _basis_points(percent: str) -> int:
    points, rest = divmod(parse_percent(percent), _PPM_PER_BASIS_POINT)
    if rest:
        raise InvalidInput(f"percent {percent!r}: allowed are two decimals")
    return points


def _view(coupon: Coupon) -> CouponView:
    terms = coupon.terms
    points, micros = terms.basis_points, terms.amount_micros
    return CouponView(
        code=coupon.code,
        description=coupon.description,
        percent=None if points is None else format_percent(points * _PPM_PER_BASIS_POINT),
        amount=None if micros is None or terms.currency is None else shown(micros, terms.currency),
        currency=terms.currency,
        cycles=terms.cycles,
        rank=terms.rank,
        kinds=terms.kinds,
        offers=terms.offers,
        charges=terms.charges,
        valid_from=coupon.valid_from,
        valid_until=coupon.valid_until,
        promotion=coupon.promotion,
        most_redemptions=coupon.most_redemptions,
        redemptions=coupon.redemptions,
        withdrawn_at=coupon.withdrawn_at,
    )


_ALL = "billing/coupons/"
_ONE = "billing/coupons/{coupon}"

ENDPOINTS = (
    endpoint(
        "POST",
        _ALL,
        "Make a coupon or a promotion",
        create,
        roles=MONEY,
        body=CouponRequest,
        answer=CouponView,
        status=201,
    ),
    endpoint("GET", _ALL, "List coupons", list_, roles=READERS, query=Page, answer=Coupons),
    endpoint("GET", _ONE, "Read a coupon", get, roles=READERS, answer=CouponView),
    endpoint(
        "POST",
        f"{_ONE}/withdraw",
        "Withdraw a coupon; who has it keeps it",
        withdraw,
        roles=MONEY,
        answer=CouponView,
    ),
    endpoint(
        "POST",
        f"{_ONE}/redeem",
        "Give a coupon to an account, from its next bill on",
        redeem,
        roles=CARE,
        body=Redeem,
        answer=CouponView,
    ),
    endpoint(
        "POST",
        f"{_ONE}/revoke",
        "Take a coupon from an account",
        take_back,
        roles=MONEY,
        body=Redeem,
        answer=None,
        status=204,
    ),
)
