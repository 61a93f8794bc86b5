"""What the taxes of a document come to. Pure; amounts are micros, multiples of the minor unit.

For each line: net + tax = gross, where `amount` is the net of a line whose price excludes tax, and
the gross of one whose price includes it. So the total of a document is the sum of its lines after
discounts, plus the tax on those that exclude it, to the minor unit.

Under RoundingRule.DOCUMENT each rate's tax is rounded once, over all lines, and then shared out to
the lines by largest remainder. Of prices that include tax it is the net that is rounded (halves
away from zero), and the tax is the rest: so the gross stays what the customer was told.
"""

from collections import defaultdict
from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache

import msgspec

from billing.taxes.apportion import apportion
from billing.taxes.rate import ALL, AppliedRate, RoundingRule


class TaxableLine(msgspec.Struct, frozen=True):
    """A line after its discount. `rates` in the order they are applied; empty: not taxed."""

    amount_micros: int
    rates: tuple[AppliedRate, ...]
    inclusive: bool = False


class TaxedLine(msgspec.Struct, frozen=True):
    """What became of a line: `tax_micros` of each of its rates, and what is net of them all."""

    net_micros: int
    tax_micros: tuple[int, ...]

    @property
    def gross_micros(self) -> int:
        """Net and all taxes."""
        return self.net_micros + sum(self.tax_micros)


class RateTotal(msgspec.Struct, frozen=True):
    """What a rate came to over a document: the net of the lines it was on, and its tax."""

    rate: AppliedRate
    base_micros: int
    tax_micros: int


class TaxedDocument(msgspec.Struct, frozen=True):
    """Lines in the order given, and the totals by rate, in the order they first came up."""

    lines: tuple[TaxedLine, ...]
    totals: tuple[RateTotal, ...]
    net_micros: int
    tax_micros: int

    @property
    def gross_micros(self) -> int:
        """Net and tax."""
        return self.net_micros + self.tax_micros


def tax_document(lines: Sequence[TaxableLine], rule: RoundingRule, unit: int) -> TaxedDocument:
    """Return what the taxes of a document come to; `unit` is its minor unit in micros."""
    assert all(line.amount_micros % unit == 0 for line in lines), (lines, unit)
    exact = [_exact_taxes(line, unit) for line in lines]
    # Taxes in minor units, by line and then by rate.
    if rule is RoundingRule.LINE:
        rounded = [
            [_round(share, inclusive=line.inclusive) for share in shares]
            for line, shares in zip(lines, exact, strict=True)
        ]
    else:
        rounded = _rounded_by_rate(lines, exact)
    taxed = tuple(
        _taxed(line, [amount * unit for amount in amounts])
        for line, amounts in zip(lines, rounded, strict=True)
    )
    net = sum(line.net_micros for line in taxed)
    totals = _totals(lines, taxed)
    return TaxedDocument(taxed, totals, net, sum(total.tax_micros for total in totals))


def _exact_taxes(line: TaxableLine, unit: int) -> list[Fraction]:
    """The taxes of a line in minor units, not rounded."""
    amount = line.amount_micros // unit
    rates = tuple((rate.ppm, rate.compound) for rate in line.rates)
    return [amount * part for part in _parts(rates, line.inclusive)]


@lru_cache(maxsize=1024)  # of the few sets of rates that there are
def _parts(rates: tuple[tuple[int, bool], ...], inclusive: bool) -> tuple[Fraction, ...]:
    """What each tax is of an amount that includes them or not: a compound one is also on those
    before it.
    """
    parts: list[Fraction] = []
    for ppm, compound in rates:
        base = 1 + sum(parts) if compound else 1
        parts.append(Fraction(ppm, ALL) * base)
    whole = 1 + sum(parts) if inclusive else 1
    return tuple(part / whole for part in parts)


def _round(tax: Fraction, *, inclusive: bool) -> int:
    """Half away from zero; of an included tax half towards zero, since its net is away from it."""
    magnitude = abs(tax)
    whole, rest = divmod(magnitude.numerator, magnitude.denominator)
    twice = 2 * rest
    up = twice > magnitude.denominator or (twice == magnitude.denominator and not inclusive)
    return (whole + up) * (1 if tax >= 0 else -1)


def _rounded_by_rate(
    lines: Sequence[TaxableLine], exact: Sequence[Sequence[Fraction]]
) -> list[list[int]]:
    groups: defaultdict[tuple[AppliedRate, bool], list[tuple[int, int]]] = defaultdict(list)
    for number, line in enumerate(lines):
        for place, rate in enumerate(line.rates):
            groups[rate, line.inclusive].append((number, place))
    rounded = [[0] * len(line.rates) for line in lines]
    for (_, inclusive), members in groups.items():
        shares = [exact[number][place] for number, place in members]
        total = _round(sum(shares, Fraction()), inclusive=inclusive)
        for (number, place), amount in zip(members, apportion(total, shares), strict=True):
            rounded[number][place] = amount
    return rounded


def _taxed(line: TaxableLine, taxes: list[int]) -> TaxedLine:
    net = line.amount_micros - (sum(taxes) if line.inclusive else 0)
    return TaxedLine(net, tuple(taxes))


def _totals(lines: Sequence[TaxableLine], taxed: Sequence[TaxedLine]) -> tuple[RateTotal, ...]:
    base: defaultdict[AppliedRate, int] = defaultdict(int)
    tax: defaultdict[AppliedRate, int] = defaultdict(int)
    for line, made in zip(lines, taxed, strict=True):
        for rate, amount in zip(line.rates, made.tax_micros, strict=True):
            base[rate] += made.net_micros
            tax[rate] += amount
    return tuple(RateTotal(rate, base[rate], tax[rate]) for rate in base)
