"""What an account has of its allowances, live."""

import struct
from datetime import UTC, datetime

import msgspec

from billing.errors import Conflict, NotFound
from ratewire.wiring import System
from rating.allowance import NEVER, Unit
from rating.pool import decode_pool


class AllowanceView(msgspec.Struct, frozen=True):
    """`left` of `amount` octets, seconds or micros, for usage from `since` to before `until`.

    `until` None: without end. `plan` and `username`: only their sessions use it. `source` is plan,
    topup or promotion. Ended ones stay for a while, to be seen.
    """

    name: str
    unit: Unit
    amount: int
    left: int
    priority: int
    since: datetime
    until: datetime | None
    ended: bool
    plan: str | None
    username: str | None
    source: str


async def allowance_views(system: System, account: str, now: datetime) -> list[AllowanceView]:
    """Return an account's allowances in the order in which they are used.

    Those of a plan are there from the first usage of their period on. Raises NotFound; Conflict
    when this version cannot read them.
    """
    [found] = await system.store.accounts([account])
    if found is None:
        raise NotFound(f"the store knows no account {account}")
    if found.pool is None:
        return []
    try:
        buckets = decode_pool(found.pool).buckets
    except (msgspec.DecodeError, struct.error) as error:
        raise Conflict(f"the allowances of account {account} cannot be read: {error}") from error
    return [
        AllowanceView(
            name=bucket.name,
            unit=bucket.unit,
            amount=bucket.amount,
            left=bucket.left,
            priority=bucket.priority,
            since=datetime.fromtimestamp(bucket.since, UTC),
            until=None if bucket.until >= NEVER else datetime.fromtimestamp(bucket.until, UTC),
            ended=bucket.until <= now.timestamp(),
            plan=bucket.plan or None,
            username=bucket.owner or None,
            source=bucket.source,
        )
        for bucket in buckets
    ]
