"""What all sessions of an account share for rating: buckets, units of the cycle, thresholds.

It is kept in the store as one opaque value beside the account, and replaced as a whole, under the
account's rating version. Accounts whose plans have neither allowances nor tiers have none.
"""

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


class Shared(msgspec.Struct, array_like=True):
    """The shared state of an account; new fields go to the end, with a default.

    Mutable while a charge is computed, on a copy of its own (`copy`). `crossed` names the
    thresholds that were crossed and not left again.
    """

    buckets: list[Bucket] = msgspec.field(default_factory=list[Bucket])
    counts: list[Count] = msgspec.field(default_factory=list[Count])
    crossed: list[str] = msgspec.field(default_factory=list[str])
    granted: int = 0  # the order of the last bucket

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


encode_shared = msgspec.msgpack.Encoder().encode
decode_shared = msgspec.msgpack.Decoder(Shared).decode


def copy(shared: Shared | None) -> Shared:
    """Return a state that may be changed; an empty one for None."""
    if shared is None:
        return Shared()
    return Shared(
        [msgspec.structs.replace(bucket) for bucket in shared.buckets],
        [Count(count.group, count.number, count.units) for count in shared.counts],
        list(shared.crossed),
        shared.granted,
    )
