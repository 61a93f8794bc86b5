"""The words, numbers and dates of a language, from the files in `languages`. Pure."""

import functools
import tomllib
from datetime import date
from importlib import resources
from typing import Literal

import msgspec

from rating.money import EXPONENTS, MICROS_PER_UNIT, format_micros

#: Isolates what is written from left to right, such as a number, within text of either direction.
_LTR, _OWN, _POP = "\u2066", "\u2068", "\u2069"


class Wording(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A language: its direction, how it writes numbers and dates, and its words by key."""

    direction: Literal["ltr", "rtl"]
    decimal: str
    thousands: str
    day_format: str
    months: tuple[str, ...]
    words: dict[str, str]

    def __call__(self, key: str, **values: object) -> str:
        """Return a text with its values put in."""
        return self.words[key].format(**values)

    def money(self, micros: int, currency: str) -> str:
        """Return an amount with its currency, with more decimals than usual only if needed."""
        return self.isolated(f"{self.number(format_micros(micros, currency))}\u00a0{currency}")

    def amount(self, micros: int, currency: str) -> str:
        """Return an amount without its currency."""
        return self.isolated(self.number(format_micros(micros, currency)))

    def number(self, text: str) -> str:
        """Return a decimal text as the language writes it."""
        sign, digits = ("\u2212", text[1:]) if text.startswith("-") else ("", text)
        whole, point, decimals = digits.partition(".")
        grouped = f"{int(whole):,}".replace(",", self.thousands)
        return sign + grouped + (self.decimal + decimals if point else "")

    def day(self, day: date) -> str:
        """Return a date."""
        month = self.months[day.month - 1]
        return self.day_format.format(day=day.day, month=month, number=day.month, year=day.year)

    def isolated(self, text: str) -> str:
        """Return a text that keeps its own direction, such as a document's number."""
        return f"{_LTR}{text}{_POP}" if self.direction == "rtl" else text

    def own_direction(self, text: str) -> str:
        """Return a text that is read in the direction of its first letter, such as an address."""
        return f"{_OWN}{text}{_POP}" if self.direction == "rtl" else text


@functools.cache
def wording(language: str) -> Wording:
    """Return a language that there is a file for."""
    text = (
        resources.files(__package__ or "").joinpath(f"languages/{language}.toml").read_text("utf-8")
    )
    return msgspec.convert(tomllib.loads(text), Wording)


def decimal_text(micros: int, currency: str) -> str:
    """Return an amount in minor units exactly, with a point, as machines read it: "12.50"."""
    exponent = EXPONENTS[currency]
    units, rest = divmod(abs(micros), MICROS_PER_UNIT)
    sign = "-" if micros < 0 else ""
    decimals = f"{rest:06d}"
    assert not decimals[exponent:].strip("0"), (micros, currency)
    return f"{sign}{units}.{decimals[:exponent]}" if exponent else f"{sign}{units}"
