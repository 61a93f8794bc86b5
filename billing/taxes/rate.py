"""What a tax rate is, and which of several holds on a day. Pure."""

import enum
import re
from collections.abc import Iterable
from datetime import date
from typing import Final

import msgspec

from billing.errors import InvalidInput

#: Rates are parts per million, so that 9.975 % is an integer.
PPM_PER_PERCENT: Final = 10_000
ALL: Final = 1_000_000

_JURISDICTION: Final = re.compile(r"[A-Z]{2}(-[A-Z0-9]{1,3})?")
_WORD: Final = re.compile(r"[a-z][a-z0-9-]{0,31}")
_PERCENT: Final = re.compile(r"([0-9]{1,3})(?:\.([0-9]{1,4}))?")
_MAX_NAME: Final = 32


class TaxCode(enum.StrEnum):
    """Why a line is taxed as it is: the VAT category codes of EN 16931 (UNTDID 5305)."""

    STANDARD = "S"
    ZERO = "Z"
    EXEMPT = "E"
    REVERSE_CHARGE = "AE"
    OUTSIDE = "O"


class RoundingRule(enum.StrEnum):
    """Where tax is rounded to the minor unit, halves away from zero.

    DOCUMENT: once for each rate, from the exact sum over the document's lines. LINE: on each line;
    the document's tax is the sum of the lines'.
    """

    DOCUMENT = "document"
    LINE = "line"


class TaxRate(msgspec.Struct, frozen=True, order=True):
    """A rate of one tax in one jurisdiction, for one category of goods, from a day on.

    It holds until the next rate of the same tax, category and jurisdiction begins, or until
    `valid_until` (exclusive) if there is one. `place` orders several taxes on one line; a
    `compound` tax is also on the taxes before it. `reason` is printed where nothing is taxed.
    """

    jurisdiction: str
    category: str
    tax: str
    valid_from: date
    ppm: int
    valid_until: date | None = None
    place: int = 1
    compound: bool = False
    code: TaxCode = TaxCode.STANDARD
    reason: str = ""

    def faults(self) -> list[str]:
        """Return what is wrong with it, each fault beginning with its field."""
        found: list[str] = []
        if not _JURISDICTION.fullmatch(self.jurisdiction):
            found.append(
                f"jurisdiction is {self.jurisdiction!r}, allowed is a country or one of its"
                ' regions, such as "DE" or "CA-QC"'
            )
        if not _WORD.fullmatch(self.category):
            found.append(
                f"category is {self.category!r}, allowed are up to 32 lower-case letters, digits"
                ' and -, such as "standard"'
            )
        if not (self.tax.isprintable() and 1 <= len(self.tax) <= _MAX_NAME):
            found.append(f'tax is {self.tax!r}, allowed is a name such as "VAT"')
        if not 0 <= self.ppm <= ALL:
            found.append(f"percent is {format_percent(self.ppm)}, allowed is 0 to 100")
        if self.valid_until is not None and self.valid_until <= self.valid_from:
            found.append(f"until is {self.valid_until}, allowed is a day after {self.valid_from}")
        if not 1 <= self.place <= 9:
            found.append(f"place is {self.place}, allowed is 1 to 9")
        return found + self._faults_of_code()

    def _faults_of_code(self) -> list[str]:
        if self.code is TaxCode.STANDARD and not self.ppm:
            return ["code is S, which is for what is taxed; for 0 % it is Z, E or O"]
        if self.code is not TaxCode.STANDARD and self.ppm:
            return [f"code is {self.code}, and nothing is taxed under it; percent must be 0"]
        if self.code is TaxCode.REVERSE_CHARGE:
            return ["code is AE, which depends on the customer and is not a rate of goods"]
        if self.code in (TaxCode.EXEMPT, TaxCode.OUTSIDE) and not self.reason.strip():
            return [f"reason is missing: with code {self.code} the document has to say why"]
        return []


class AppliedRate(msgspec.Struct, frozen=True, order=True):
    """A rate as it was applied to a line; documents keep these."""

    tax: str
    jurisdiction: str
    category: str
    ppm: int
    compound: bool = False
    code: TaxCode = TaxCode.STANDARD
    reason: str = ""


def parse_percent(text: str) -> int:
    """Return the ppm of a decimal percentage such as "19" or "9.975". Raises InvalidInput."""
    match = _PERCENT.fullmatch(text.strip())
    ppm = -1
    if match:
        ppm = int(match[1]) * PPM_PER_PERCENT + int((match[2] or "").ljust(4, "0"))
    if not 0 <= ppm <= ALL:
        raise InvalidInput(
            f"percent {text!r}: allowed is 0 to 100 with at most four decimals, such as 9.975"
        )
    return ppm


def format_percent(ppm: int) -> str:
    """Return a rate in percent, with the decimals that it needs: "19", "9.975"."""
    whole, rest = divmod(ppm, PPM_PER_PERCENT)
    return f"{whole}.{rest:04d}".rstrip("0").rstrip(".")


def rates_on(
    rates: Iterable[TaxRate], jurisdiction: str, category: str, day: date
) -> tuple[AppliedRate, ...]:
    """Return the rates of a jurisdiction and category on a day, in the order they are applied.

    Empty if there are none.
    """
    newest: dict[str, TaxRate] = {}
    for rate in rates:
        if (rate.jurisdiction, rate.category) != (jurisdiction, category) or rate.valid_from > day:
            continue
        known = newest.get(rate.tax)
        if known is None or known.valid_from < rate.valid_from:
            newest[rate.tax] = rate
    holding = [
        rate for rate in newest.values() if rate.valid_until is None or day < rate.valid_until
    ]
    return tuple(
        AppliedRate(
            rate.tax,
            rate.jurisdiction,
            rate.category,
            rate.ppm,
            rate.compound,
            rate.code,
            rate.reason,
        )
        for rate in sorted(holding, key=lambda rate: (rate.place, rate.tax))
    )
