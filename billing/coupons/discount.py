"""What a discount takes off, and how it is spread over the lines that it is for. Pure."""

import enum
from collections.abc import Sequence
from datetime import date
from typing import Final

import msgspec

from billing.cycles.proration import minor_unit, to_minor_unit
from billing.errors import InvalidInput
from rating.money import EXPONENTS, format_micros

#: A hundredth of a percent; 10,000 are all of it.
WHOLE_BASIS_POINTS: Final = 10_000


class LineKind(enum.StrEnum):
    """What a charge is for."""

    RECURRING = "recurring"
    ONE_OFF = "one-off"
    USAGE = "usage"
    MINIMUM = "minimum"
    FEE = "fee"


class Terms(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is taken off, and of what. Creating impossible terms raises InvalidInput.

    Either `basis_points` (hundredths of a percent) or `amount_micros` of `currency`, in whole minor
    units, for each billing cycle. `cycles` is for how many cycles in which there was something to
    take off: 1 is once, None for ever. An empty scope is everything: else charges of these `kinds`,
    of these `offers`, with these `charges`' codes. Of several discounts the one with the lower
    `rank` comes first, and each is of what those before it left.
    """

    basis_points: int | None = None
    amount_micros: int | None = None
    currency: str | None = None
    cycles: int | None = 1
    rank: int = 100
    kinds: tuple[LineKind, ...] = ()
    offers: tuple[str, ...] = ()
    charges: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if (self.basis_points is None) == (self.amount_micros is None):
            raise InvalidInput("a discount is either basis_points or amount_micros")
        if self.basis_points is not None and not 1 <= self.basis_points <= WHOLE_BASIS_POINTS:
            raise InvalidInput(
                f"basis_points is {self.basis_points}, allowed is 1 to {WHOLE_BASIS_POINTS}"
            )
        if self.amount_micros is not None:
            if self.currency not in EXPONENTS:
                raise InvalidInput(f"currency {self.currency!r}: a fixed discount is in one")
            if self.amount_micros < 1 or self.amount_micros % minor_unit(self.currency):
                raise InvalidInput(
                    f"a discount of {format_micros(self.amount_micros, self.currency)}:"
                    f" allowed are whole minor units of {self.currency}, more than 0"
                )
        if self.cycles is not None and self.cycles < 1:
            raise InvalidInput(f"cycles is {self.cycles}, allowed is 1 or more, or null for ever")

    def covers(self, line: "Line") -> bool:
        """Return whether a line is in its scope; what is credited is in none."""
        return (
            line.amount_micros > 0
            and (not self.kinds or line.kind in self.kinds)
            and (not self.offers or line.offer in self.offers)
            and (not self.charges or line.charge in self.charges)
        )


class Line(msgspec.Struct, frozen=True):
    """An amount (whole minor units) that may be discounted; `offer` may be empty."""

    kind: LineKind
    offer: str
    charge: str
    amount_micros: int


class Entitlement(msgspec.Struct, frozen=True):
    """A discount that an account has; `left_micros` bounds a fixed one of which some was taken.

    `of_micros` is what a fixed one is for: of less it takes less, in proportion.
    """

    key: int
    terms: Terms
    left_micros: int | None = None
    of_micros: int | None = None


class Redeemed(msgspec.Struct, frozen=True):
    """A coupon that an account has. `taken` is what it took off (micros) by a cycle's first day."""

    account: str
    redemption: int
    code: str
    description: str
    terms: Terms
    taken: dict[date, int]

    def entitlement(self, cycle: date) -> Entitlement | None:
        """Return what it still takes off in a cycle; None if it is used up."""
        earlier = [day for day in self.taken if day != cycle]
        if self.terms.cycles is not None and len(earlier) >= self.terms.cycles:
            return None
        left = self.terms.amount_micros
        if left is not None:
            left -= self.taken.get(cycle, 0)
        return Entitlement(self.redemption, self.terms, left)


def spread(total_micros: int, weights: Sequence[int], unit: int) -> list[int]:
    """Return shares of a total in proportion to weights, in whole units, that sum exactly to it.

    All are whole units, not negative, and the weights' sum is at least the total; then no share is
    above its weight. What is left after rounding down goes to the largest remainders, a unit each,
    to the earlier of equal ones first.
    """
    whole = sum(weights)
    assert 0 <= total_micros <= whole, (total_micros, whole)
    assert all(amount % unit == 0 <= amount for amount in (total_micros, *weights)), weights
    if not whole:
        return [0] * len(weights)
    parts = [divmod(total_micros // unit * weight, whole) for weight in weights]
    shares = [share for share, _ in parts]
    by_remainder = sorted(range(len(parts)), key=lambda index: -parts[index][1])
    for index in by_remainder[: total_micros // unit - sum(shares)]:
        shares[index] += 1
    return [share * unit for share in shares]


def discounted(
    lines: Sequence[Line], entitlements: Sequence[Entitlement], currency: str
) -> dict[int, list[int]]:
    """Return what each entitlement takes off each line, by its key; those that take nothing are not
    there.

    A line is never discounted below zero. Fixed discounts of another currency take nothing.
    """
    unit = minor_unit(currency)
    left = [line.amount_micros for line in lines]
    taken: dict[int, list[int]] = {}
    for each in sorted(entitlements, key=lambda each: (each.terms.rank, each.key)):
        weights = [
            amount if each.terms.covers(line) else 0
            for line, amount in zip(lines, left, strict=True)
        ]
        total = _total(each, sum(weights), currency)
        if not total:
            continue
        shares = spread(total, weights, unit)
        left = [amount - share for amount, share in zip(left, shares, strict=True)]
        taken[each.key] = shares
    return taken


def _total(each: Entitlement, base_micros: int, currency: str) -> int:
    """What an entitlement takes off a sum, in whole minor units."""
    terms = each.terms
    if terms.basis_points is not None:
        return to_minor_unit(base_micros * terms.basis_points, WHOLE_BASIS_POINTS, currency)
    assert terms.amount_micros is not None
    if terms.currency != currency:
        return 0
    bound = terms.amount_micros if each.left_micros is None else each.left_micros
    if each.of_micros:
        bound = to_minor_unit(bound * base_micros, each.of_micros, currency)
    return min(bound, base_micros)
