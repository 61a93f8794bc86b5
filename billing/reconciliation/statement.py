"""What a line of a bank file is, whatever format it came in. Pure."""

import enum
import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import Final

import msgspec

from billing.errors import InvalidInput
from rating.money import EXPONENTS, MAX_MICROS, MICROS_PER_UNIT

#: Lines of one file; more than a bank books for us in years.
MAX_LINES: Final = 200_000
#: So much of a file's faults is told.
_TOLD: Final = 20

_DECIMAL: Final = re.compile(r"[+-]?[0-9]{1,15}(\.[0-9]{1,6})?")
_SPACES: Final = re.compile(r"\s+")


class Format(enum.StrEnum):
    """The formats of bank files. CAMT: camt.053 (statement) or camt.054 (notification)."""

    CAMT = "camt"
    MT940 = "mt940"
    OFX = "ofx"
    CSV = "csv"


class BankLine(msgspec.Struct, frozen=True, kw_only=True):
    """One line of an account at the bank. Money that came in is positive.

    `place` is where in its file it stands, for people; `held_at` our account at the bank and
    `bank_reference` the bank's own name for the line, as far as the file tells them. `booked`
    False: the bank announces it only. `reference` is what the payer gave to be identified by,
    `text` what else they wrote.
    """

    place: str
    booked_on: date
    amount_micros: int
    currency: str
    held_at: str = ""
    bank_reference: str = ""
    booked: bool = True
    payer: str = ""
    payer_account: str = ""
    reference: str = ""
    text: str = ""


class Fault(msgspec.Struct, frozen=True):
    """What is wrong in a file, and where."""

    place: str
    what: str


class Unreadable(InvalidInput):
    """A file that cannot be used as a whole, since some of it is not what it should be."""

    def __init__(self, name: str, faults: Sequence[Fault]) -> None:
        self.faults = tuple(faults)
        told = "; ".join(f"{each.place}: {each.what}" for each in self.faults[:_TOLD])
        more = f"; and {len(faults) - _TOLD} more" if len(faults) > _TOLD else ""
        super().__init__(f"{name} is refused, nothing of it is imported: {told}{more}")


class Refusal(ValueError):
    """A value in a file that cannot be; becomes a Fault where its place is known."""


def micros_of(text: str, currency: str) -> int:
    """Return an amount of a file in micros: an exact number of minor units. Raises Refusal."""
    if currency not in EXPONENTS:
        raise Refusal(f"currency {currency!r} is not known")
    if not _DECIMAL.fullmatch(text):
        raise Refusal(f"{text!r} is not an amount")
    scaled = Decimal(text) * MICROS_PER_UNIT
    micros = int(scaled)
    if abs(micros) > MAX_MICROS or micros % (MICROS_PER_UNIT // 10 ** EXPONENTS[currency]):
        raise Refusal(f"{text} {currency}: allowed are {EXPONENTS[currency]} decimals")
    return micros


def day_of(text: str) -> date:
    """Return the day of an ISO date or time. Raises Refusal."""
    try:
        return date.fromisoformat(text[:10])
    except ValueError as error:
        raise Refusal(f"{text!r} is not a date such as 2026-03-14") from error


def tidy(text: str | None, limit: int = 500) -> str:
    """Return a text of a file in one line of printable characters, cut to a limit."""
    flat = _SPACES.sub(" ", text or "").strip()
    return "".join(each for each in flat if each.isprintable())[:limit]


def identities(lines: Sequence[BankLine]) -> list[bytes]:
    """Return for each line what makes it the same line if it stands in another file, too.

    That is the bank's reference for it; without one all that is told of it, and which of those that
    look the same it is in this file, so two equal payments of one day are two.
    """
    seen: Counter[tuple[str, ...]] = Counter()
    found: list[bytes] = []
    for line in lines:
        told = (line.held_at, str(line.booked_on), str(line.amount_micros), line.currency)
        if line.bank_reference:
            told = (*told, "bank", line.bank_reference)
        else:
            told = (*told, line.payer, line.payer_account, line.reference, line.text)
        seen[told] += 1
        found.append(hashlib.sha256(repr((told, seen[told])).encode()).digest())
    return found
