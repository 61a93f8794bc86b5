"""What a proposal adds to, and takes from, what was billed before. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import date
from typing import Final

import msgspec

from billing.coupons.discount import LineKind
from billing.cycles.calendar import Part, Period
from billing.cycles.proposal import Contradiction, Proposed, Rate
from billing.cycles.proration import prorate, to_minor_unit

#: A service and charge whose billing changes in more places than these by one run is looked at by
#: a person first.
MAX_PIECES: Final = 60

#: No day is billed so far ahead of the run.
MAX_DAYS_AHEAD: Final = 3 * 366


class Billed(msgspec.Struct, frozen=True):
    """A charge that was billed, and what of it still holds.

    `covers` are the days that it is still for, in order; empty once all of it was credited.
    `left_micros` and `discount_left_micros` are what was billed (before discounts) and taken off,
    less what was credited.
    """

    item: int
    service: int
    charge: str
    kind: LineKind
    offer: str
    description: str
    tax_category: str
    rate: Rate
    covers: tuple[Period, ...]
    left_micros: int
    discount_left_micros: int = 0


class Charge(msgspec.Struct, frozen=True):
    """Days that are to be billed now."""

    proposed: Proposed
    amount_micros: int


class Credit(msgspec.Struct, frozen=True):
    """Days of an earlier charge that are given back, with their part of its discount.

    Both amounts are positive; `covers` is what the charge is for from now on.
    """

    billed: Billed
    period: Period
    amount_micros: int
    discount_micros: int
    covers: tuple[Period, ...]


class Difference(msgspec.Struct, frozen=True):
    """What is to be billed and given back; nothing if a run is repeated."""

    charges: tuple[Charge, ...]
    credits: tuple[Credit, ...]


def difference(
    proposed: Sequence[Proposed],
    billed: Sequence[Billed],
    *,
    currency: str,
    since: date,
    until: date,
) -> Difference:
    """Compare what is proposed with what was billed. Days before `since` are not given back.

    Both are of the same account, and `proposed` is for `since` and `until`. Raises Contradiction.
    """
    by_key: defaultdict[tuple[int, str], tuple[list[Proposed], list[Billed]]]
    by_key = defaultdict(lambda: ([], []))
    for each in proposed:
        by_key[each.service, each.charge][0].append(each)
    for before in billed:
        by_key[before.service, before.charge][1].append(before)
    charges: list[Charge] = []
    given_back: list[Credit] = []
    for (service, charge), (wanted, had) in by_key.items():
        new, back = _compare(wanted, had, currency, since)
        _bound(f"service {service}, charge {charge}", new, back, until)
        charges += new
        given_back += back
    return Difference(tuple(charges), tuple(given_back))


def without(periods: Iterable[Period], taken: Iterable[Period]) -> list[Period]:
    """Return what of some periods is in none of others, in their order."""
    left = list(periods)
    for gone in taken:
        left = [
            piece
            for period in left
            for piece in (
                period.within(date.min, gone.start),
                period.within(gone.end, date.max),
            )
            if piece is not None
        ]
    return left


def _compare(
    wanted: list[Proposed], had: list[Billed], currency: str, since: date
) -> tuple[list[Charge], list[Credit]]:
    if any(each.kind is LineKind.ONE_OFF for each in wanted):
        return [_charge(each, each.period, currency) for each in wanted if not had], []
    charges: list[Charge] = []
    for each in wanted:
        if not each.due:
            continue
        same = [days for before in had if _is_same(each, before) for days in before.covers]
        for piece in without([each.period], same):
            charge = _charge(each, piece, currency)
            if not each.rate.prorated and (same or piece.start != each.period.start):
                charge = msgspec.structs.replace(charge, amount_micros=0)  # it is paid for
            charges.append(charge)
    given_back = [
        credit
        for before in had
        if before.kind is LineKind.RECURRING
        for credit in _credits(before, wanted, currency, since)
    ]
    return charges, given_back


def _is_same(proposed: Proposed, billed: Billed) -> bool:
    return (proposed.rate, proposed.offer) == (billed.rate, billed.offer)


def _charge(proposed: Proposed, period: Period, currency: str) -> Charge:
    rate = proposed.rate
    amount = rate.price_micros
    if rate.prorated:
        amount = prorate(amount, Part(period, rate.whole, rate.unit), currency, rate.day_count)
    return Charge(msgspec.structs.replace(proposed, period=period), amount)


def _credits(billed: Billed, wanted: list[Proposed], currency: str, since: date) -> list[Credit]:
    """What is no longer wanted of a charge; the last piece takes all that is left of it."""
    holds = [each.period for each in wanted if _is_same(each, billed)]
    gone = [
        piece
        for period in without(billed.covers, holds)
        if (piece := period.within(since, date.max)) is not None
    ]
    given_back: list[Credit] = []
    left, discount_left = billed.left_micros, billed.discount_left_micros
    covers = billed.covers
    for piece in gone:
        covers = tuple(without(covers, [piece]))
        amount, discount = left, discount_left
        if covers:
            amount = min(left, _credited(billed.rate, piece, currency))
            discount = to_minor_unit(discount_left * amount, left, currency) if left else 0
        given_back.append(Credit(billed, piece, amount, discount, covers))
        left -= amount
        discount_left -= discount
    return given_back


def _credited(rate: Rate, piece: Period, currency: str) -> int:
    if not rate.prorated:
        return 0
    part = Part(piece, rate.whole, rate.unit)
    return prorate(rate.price_micros, part, currency, rate.day_count)


def _bound(what: str, charges: list[Charge], credits_: list[Credit], until: date) -> None:
    if len(charges) + len(credits_) > MAX_PIECES:
        raise Contradiction(
            f"{what}: {len(charges)} charges and {len(credits_)} credits at once, more than"
            f" {MAX_PIECES}"
        )
    for charge in charges:
        if (charge.proposed.period.end - until).days > MAX_DAYS_AHEAD:
            raise Contradiction(f"{what}: would be billed until {charge.proposed.period.end}")
