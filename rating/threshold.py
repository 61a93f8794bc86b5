"""When somebody is told that an allowance runs out: once each time that it does.

A threshold is crossed by the charge that takes what is left from above it to it or below. What is
left of a period's bucket never grows, so that happens once; the next period has a bucket of its
own, and may cross it again.
"""

import msgspec

from rating.pool import Pool
from rating.tariff import MAX_OCTETS


class Threshold(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where an allowance of a plan is to be told of: at so many percent left, or so many units.

    One of the two; percent are of what the period began with, rounded down to a whole unit.
    """

    allowance: str
    percent: int | None = None
    units: int | None = None

    def of(self, amount: int) -> int:
        """Return the units that are left when it is crossed."""
        if self.percent is not None:
            return amount * self.percent // 100
        assert self.units is not None
        return self.units

    def faults(self) -> list[str]:
        """Return what is wrong, each with what is allowed."""
        name = f"threshold of {self.allowance}"
        if (self.percent is None) == (self.units is None):
            return [f"{name}: give percent or units, one of them"]
        if self.percent is not None and not 0 <= self.percent <= 99:
            return [f"{name}: percent is {self.percent}, allowed is 0 to 99"]
        if self.units is not None and not 0 <= self.units <= MAX_OCTETS // 2:
            return [f"{name}: units are {self.units}, allowed is 0 to {MAX_OCTETS // 2}"]
        return []


class Crossing(msgspec.Struct, frozen=True, array_like=True):
    """A threshold that was crossed: `left` of `amount` units, `at` or fewer is what it is.

    `order` and `since` are the bucket's, `owner` the user name if it is not shared.
    """

    allowance: str
    owner: str
    order: int
    since: int
    unit: str
    amount: int
    at: int
    left: int


def crossings(
    thresholds: tuple[Threshold, ...], plan: str, before: Pool, after: Pool
) -> tuple[Crossing, ...]:
    """Return what a plan's thresholds are crossed by in going from one pool to the next.

    Only the newest bucket of an allowance counts: what is rolled over leaves an old one, too.
    """
    if not thresholds:
        return ()
    was = {bucket.order: bucket.left for bucket in before.buckets}
    newest = {
        (bucket.name, bucket.owner): bucket
        for bucket in sorted(after.buckets, key=lambda bucket: bucket.since)
        if bucket.plan == plan
    }
    found: list[Crossing] = []
    for bucket in newest.values():
        left_before = was.get(bucket.order, bucket.amount)
        for threshold in thresholds:
            at = threshold.of(bucket.amount)
            if threshold.allowance == bucket.name and left_before > at >= bucket.left:
                found.append(
                    Crossing(
                        bucket.name,
                        bucket.owner,
                        bucket.order,
                        bucket.since,
                        bucket.unit,
                        bucket.amount,
                        at,
                        bucket.left,
                    )
                )
    return tuple(found)
