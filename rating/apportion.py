"""Sharing a whole number out over parts, so that the parts add up to it exactly."""

from collections.abc import Sequence


def apportion(units: int, weights: Sequence[int]) -> list[int]:
    """Return shares of `units` in proportion to `weights`, by the largest remainder (Hamilton).

    Each share is its exact one rounded down, and one more for those with the largest remainders as
    long as there is some left; of equal remainders the earlier part gets it. A share of weight 0 is
    0. The weights are not negative, and one of them is positive.
    """
    total = sum(weights)
    assert total > 0, weights
    if units == total:
        return list(weights)
    shares = [units * weight // total for weight in weights]
    left = units - sum(shares)
    if left:
        by_remainder = sorted(
            range(len(weights)), key=lambda at: (-(units * weights[at] % total), at)
        )
        for at in by_remainder[:left]:
            shares[at] += 1
    return shares
