"""Allowances over HTTP: what an account has, and granting it more."""

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from billing.accounts.register import get
from billing.allowances.granting import (
    MAX_PRIORITY,
    AllowanceGrant,
    NewGrant,
    Source,
    amount_of,
    grant,
)
from ratewire.http.endpoint import MONEY, READERS, Call, Nothing, endpoint
from ratewire.views.allowances import AllowanceView, allowance_views
from rating.allowance import Unit


class GrantRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An allowance to be granted.

    `amount` is a decimal text for money, else a number of octets or seconds, also with a unit
    ("10 GB", "2 hours"). `until` null never ends.
    """

    name: Annotated[str, Meta(min_length=1, max_length=64)]
    unit: Unit
    amount: Annotated[str, Meta(min_length=1, max_length=32, examples=["10 GB"])]
    reason: Annotated[str, Meta(min_length=1, max_length=255)]
    source: Source = Source.PROMOTION
    since: datetime | None = None
    until: datetime | None = None
    priority: Annotated[int, Meta(ge=0, le=MAX_PRIORITY)] = 100
    plan: str | None = None
    username: str | None = None


class Allowances(msgspec.Struct, frozen=True):
    """An account's allowances, in the order in which they are used; money is in micros."""

    data: list[AllowanceView]


async def add(call: Call[Nothing, GrantRequest]) -> AllowanceGrant:
    """Grant an allowance."""
    new = call.body
    return await grant(
        call.conn,
        NewGrant(
            *(call.path["account"], new.name, new.unit, amount_of(new.amount, new.unit)),
            *(new.source, new.reason, new.since, new.until, new.priority, new.plan, new.username),
        ),
        actor=call.actor,
        now=call.now,
    )


async def list_(call: Call[Nothing, Nothing]) -> Allowances:
    """List allowances."""
    await get(call.conn, call.path["account"])
    return Allowances(await allowance_views(call.system, call.path["account"], call.now))


_ALL = "billing/accounts/{account}/allowances"

ENDPOINTS = (
    endpoint(
        "GET",
        _ALL,
        "List an account's allowances, live",
        list_,
        roles=READERS,
        answer=Allowances,
    ),
    endpoint(
        "POST",
        _ALL,
        "Grant an account an allowance",
        add,
        roles=MONEY,
        body=GrantRequest,
        answer=AllowanceGrant,
        status=201,
    ),
)
