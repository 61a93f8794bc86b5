"""What all sessions of an account share for rating: buckets, and units of the cycle.

It is kept in the store as one value beside the account, and replaced as a whole, under the
account's rating version. Accounts whose plans have neither allowances nor tiers have none.
"""

import struct

import msgspec

from rating.allowance import NEVER, Allowance, Bucket, Unit
from rating.calendar import DAY, Cycle, Period

#: So many buckets that have ended are kept: for usage that is reported late, and for people to see.
KEPT_ENDED = 16


class Count(msgspec.Struct, array_like=True):
    """How many units of a group of rules were billed in one period."""

    group: str
    number: int
    units: int


class Pool(msgspec.Struct, array_like=True):
    """What the sessions of an account share; new fields go to the end, with a default.

    Mutable while a charge is computed, on a copy of its own (`copy`). `folded` is the
    sequence of the last movement that is in it. `zone` (IANA; empty: that of
    the tariff) and `billing_day` are the account's.
    """

    buckets: list[Bucket] = msgspec.field(default_factory=list[Bucket])
    counts: list[Count] = msgspec.field(default_factory=list[Count])
    granted: int = 0  # the order of the last bucket
    folded: int = 0
    zone: str = ""
    billing_day: int = 1

    def grant(self, bucket: Bucket) -> Bucket:
        """Add a bucket as the newest, and return it."""
        self.granted += 1
        bucket.order = self.granted
        self.buckets.append(bucket)
        self.buckets.sort(key=lambda each: each.burn_order)
        return bucket

    def units(self, group: str, number: int) -> Count:
        """Return the count of a group in a period, which is 0 if it is new.

        The latest two periods are kept; usage of an older one counts to the older of them.
        """
        mine = [count for count in self.counts if count.group == group]
        for count in mine:
            if count.number == number:
                return count
        if len(mine) == 2:
            oldest = min(mine, key=lambda count: count.number)
            if number < oldest.number:
                return oldest
            self.counts.remove(oldest)
        count = Count(group, number, 0)
        self.counts.append(count)
        return count

    def renew(self, allowance: Allowance, plan: str, owner: str, cycle: Cycle, moment: int) -> None:
        """Have the bucket of a plan's allowance for the period of a moment."""
        owner = "" if allowance.shared else owner
        mine = [
            bucket
            for bucket in self.buckets
            if bucket.name == allowance.name and bucket.plan == plan and bucket.owner == owner
        ]
        if any(bucket.since <= moment < bucket.until for bucket in mine):
            return
        before = max(
            (bucket for bucket in mine if bucket.until <= moment),
            key=lambda bucket: bucket.until,
            default=None,
        )
        later = any(bucket.since > moment for bucket in mine)
        if later and (allowance.rollover or allowance.period in (Period.DAYS, Period.ONCE)):
            return  # what was left of the time before has already gone over
        number, since, until = _period(allowance, before, cycle, moment)
        rolled = _rolled(allowance, before, number)
        if before is not None:
            before.left -= min(rolled, before.left)
        amount = allowance.amount + rolled
        self.grant(
            Bucket(
                name=allowance.name,
                unit=allowance.unit,
                amount=amount,
                left=amount,
                priority=allowance.priority,
                since=since,
                until=until,
                scope=allowance.scope,
                plan=plan,
                owner=owner,
                number=number,
            )
        )
        self._forget(moment)

    def usable(self, unit: Unit, plan: str, owner: str, moment: int) -> list[Bucket]:
        """Return the buckets of a unit that usage at a moment draws on, in their burn order."""
        return [
            bucket
            for bucket in self.buckets
            if bucket.unit is unit
            and bucket.since <= moment < bucket.until
            and bucket.left
            and bucket.open_to(plan, owner)
        ]

    def _forget(self, moment: int) -> None:
        ended = [bucket for bucket in self.buckets if bucket.until <= moment]
        if len(ended) > KEPT_ENDED:
            ended.sort(key=lambda bucket: bucket.until)
            for bucket in ended[:-KEPT_ENDED]:
                self.buckets.remove(bucket)


def _period(
    allowance: Allowance, before: Bucket | None, cycle: Cycle, moment: int
) -> tuple[int, int, int]:
    """The number, beginning and end of the period of a moment."""
    if allowance.period is Period.ONCE:
        return 0, moment, NEVER
    if allowance.period is Period.DAYS:
        length = allowance.days * DAY
        if before is None:
            return 0, moment, moment + length
        passed = (moment - before.since) // length
        since = before.since + passed * length
        return before.number + passed, since, since + length
    number = cycle.number(allowance.period, moment)
    return (
        number,
        cycle.start(allowance.period, number),
        cycle.start(allowance.period, number + 1),
    )


def _rolled(allowance: Allowance, before: Bucket | None, number: int) -> int:
    """What goes over into a period; those that nobody used in between are full ones."""
    if before is None or not allowance.rollover:
        return 0
    rolled = min(before.left, allowance.rollover)
    unused = number - before.number - 1
    return min(rolled + unused * allowance.amount, allowance.rollover)


class Granted(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """A movement that grants a bucket, by a top-up or a promotion."""

    sequence: int
    bucket: Bucket


class Placed(msgspec.Struct, frozen=True, array_like=True, tag=2):
    """A movement that sets the account's zone and billing day."""

    sequence: int
    zone: str
    billing_day: int


#: How long each part of a stored pool is, before it.
_LENGTH = struct.Struct(">I")
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Pool).decode
_decode_part = msgspec.msgpack.Decoder(Granted | Placed).decode


def encode_pool(pool: Pool) -> bytes:
    """Return a pool as it is stored: one part, with nothing to be folded into it."""
    return _framed(_encode(pool))


def encode_part(part: Granted | Placed) -> bytes:
    """Return a movement as it is appended to a stored pool, or to the empty one."""
    return _framed(_encode(part))


#: The stored pool of an account that has none, for movements to be appended to.
NO_POOL = _LENGTH.pack(0)


def decode_pool(value: bytes) -> Pool:
    """Return a stored pool with what was appended to it folded in.

    Raises msgspec.DecodeError or struct.error for what is not one.
    """
    first, *parts = _parts(value)
    pool = _decode(first) if first else Pool()
    for raw in parts:
        part = _decode_part(raw)
        if part.sequence <= pool.folded:
            continue
        pool.folded = part.sequence
        if isinstance(part, Granted):
            pool.grant(msgspec.structs.replace(part.bucket))
        else:
            pool.zone, pool.billing_day = part.zone, part.billing_day
    return pool


def _framed(part: bytes) -> bytes:
    return _LENGTH.pack(len(part)) + part


def _parts(value: bytes) -> list[bytes]:
    parts: list[bytes] = []
    at = 0
    while at < len(value):
        (length,) = _LENGTH.unpack_from(value, at)
        at += _LENGTH.size
        if at + length > len(value):
            raise msgspec.DecodeError("a part of a pool is cut off")
        parts.append(value[at : at + length])
        at += length
    return parts or [b""]


def copy(pool: Pool | None) -> Pool:
    """Return a state that may be changed; an empty one for None."""
    if pool is None:
        return Pool()
    return Pool(
        [msgspec.structs.replace(bucket) for bucket in pool.buckets],
        [Count(count.group, count.number, count.units) for count in pool.counts],
        pool.granted,
        pool.folded,
        pool.zone,
        pool.billing_day,
    )
