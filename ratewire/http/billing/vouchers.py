"""Vouchers over HTTP."""

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from billing.vouchers import batches, redeeming
from billing.vouchers.batches import Batch
from ratewire.http.amounts import Amount, read, shown
from ratewire.http.billing.payments import PaymentView
from ratewire.http.billing.payments import view as payment_view
from ratewire.http.endpoint import (
    CARE,
    MONEY,
    READERS,
    Call,
    Currency,
    Name,
    Nothing,
    Page,
    endpoint,
)


class NewVouchers(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Vouchers to be made, all of one amount."""

    currency: Currency
    amount: Amount
    vouchers: Annotated[int, Meta(ge=1, le=100_000)]
    description: str = ""
    expires_at: datetime | None = None


class BatchView(msgspec.Struct, frozen=True, omit_defaults=True):
    """A batch of vouchers. `codes` are told once, when it is made."""

    id: int
    currency: str
    amount: str
    vouchers: int
    redeemed: int
    description: str
    expires_at: datetime | None
    withdrawn_at: datetime | None
    actor: str
    created_at: datetime
    codes: tuple[str, ...] = ()


class Batches(msgspec.Struct, frozen=True):
    """Batches, newest first."""

    data: list[BatchView]
    next: str | None


class Redemption(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A voucher's code as somebody typed it, and whose account it is for."""

    account: Name
    code: str


def view(batch: Batch, codes: tuple[str, ...] = ()) -> BatchView:
    """Return a batch as the API tells it."""
    return BatchView(
        id=batch.batch_id,
        currency=batch.currency,
        amount=shown(batch.amount_micros, batch.currency),
        vouchers=batch.vouchers,
        redeemed=batch.redeemed,
        description=batch.description,
        expires_at=batch.expires_at,
        withdrawn_at=batch.withdrawn_at,
        actor=batch.actor,
        created_at=batch.created_at,
        codes=codes,
    )


async def create(call: Call[Nothing, NewVouchers]) -> BatchView:
    """Make a batch."""
    new = call.body
    made = await batches.create(
        call.conn,
        currency=new.currency,
        amount_micros=read(new.amount, "amount"),
        vouchers=new.vouchers,
        description=new.description,
        expires_at=new.expires_at,
        actor=call.actor,
        now=call.now,
    )
    return view(made.batch, made.codes)


async def list_(call: Call[Page, Nothing]) -> Batches:
    """List batches."""
    query = call.query
    found = await batches.list_(call.conn, before=query.number(), limit=query.limit + 1)
    page, more = query.cut(found, lambda each: each.batch_id)
    return Batches([view(each) for each in page], more)


async def get(call: Call[Nothing, Nothing]) -> BatchView:
    """Read one."""
    return view(await batches.get(call.conn, int(call.path["batch_id"])))


async def withdraw(call: Call[Nothing, Nothing]) -> BatchView:
    """Let nothing more of one be redeemed."""
    return view(await batches.withdraw(call.conn, int(call.path["batch_id"]), now=call.now))


async def redeem(call: Call[Nothing, Redemption]) -> PaymentView:
    """Redeem a voucher: it becomes a payment."""
    done = await redeeming.redeem(
        call.conn, call.body.account, call.body.code, actor=call.actor, now=call.now
    )
    return payment_view(done.payment)


_ALL = "billing/voucher-batches/"
_ONE = "billing/voucher-batches/{batch_id}"

ENDPOINTS = (
    endpoint(
        "POST",
        _ALL,
        "Make vouchers",
        create,
        roles=MONEY,
        body=NewVouchers,
        answer=BatchView,
        status=201,
        told_once=True,
    ),
    endpoint("GET", _ALL, "List voucher batches", list_, roles=READERS, query=Page, answer=Batches),
    endpoint("GET", _ONE, "Read a voucher batch", get, roles=READERS, answer=BatchView),
    endpoint(
        "POST",
        f"{_ONE}/withdrawal",
        "Withdraw a voucher batch",
        withdraw,
        roles=MONEY,
        answer=BatchView,
    ),
    endpoint(
        "POST",
        "billing/vouchers/redemptions",
        "Redeem a voucher",
        redeem,
        roles=CARE,
        body=Redemption,
        answer=PaymentView,
        status=201,
    ),
)
