"""Sharing a whole out in integers, so that the parts add up to it. Pure."""

import math
from collections.abc import Sequence
from fractions import Fraction


def apportion(total: int, shares: Sequence[Fraction | int]) -> list[int]:
    """Return integers that sum to `total`, each its share rounded down or up (largest remainder).

    The shares must sum to the total, or to what rounds to it. Of equal remainders the earlier one
    is rounded up.
    """
    parts = [math.floor(share) for share in shares]
    missing = total - sum(parts)
    assert 0 <= missing <= len(parts), (total, shares)
    by_remainder = sorted(
        range(len(parts)), key=lambda index: parts[index] - shares[index]
    )  # stable: the largest remainder first, of equal ones the earliest
    for index in by_remainder[:missing]:
        parts[index] += 1
    return parts
