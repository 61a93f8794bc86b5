"""Tax rate files: TOML as people write it, to billing.taxes.rate.TaxRate. Every fault at once.

    [[rate]]
    jurisdiction = "DE"
    category = "standard"
    tax = "VAT"
    percent = "19"
    from = 2021-01-01

A rate holds until the next one of the same jurisdiction, category and tax begins, or until `until`
(exclusive). The other keys are `place` (order on a line with several taxes, 1 to 9), `compound` (it
is also on the taxes before it), `code` (EN 16931: S, Z, E, O) and `reason`. Without `code` a rate
of 0 % is Z, any other S.
"""

import difflib
import re
import tomllib
from datetime import date, datetime
from pathlib import Path
from typing import Any, Final, cast

import msgspec

from billing.errors import InvalidInput
from billing.taxes.rate import TaxCode, TaxRate, parse_percent

_KEYS: Final = (
    *("jurisdiction", "category", "tax", "percent", "from", "until"),
    *("place", "compound", "code", "reason"),
)
_HEADER: Final = re.compile(r"^\s*\[\[\s*rate\s*\]\]", re.MULTILINE)
_STAND_IN: Final = TaxRate("XX", "standard", "VAT", date.min, 1)


class RateFault(msgspec.Struct, frozen=True):
    """One fault of a rate file. `line` is that of the rate's header; None: of the file."""

    file: str
    line: int | None
    message: str

    def __str__(self) -> str:
        """One line, for people."""
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        return f"{place}: {self.message}"


class RateFileError(Exception):
    """A rate file that cannot be used; `faults` names every fault."""

    def __init__(self, faults: list[RateFault]) -> None:
        assert faults
        self.faults = tuple(faults)
        super().__init__("\n".join(str(fault) for fault in faults))


def read_rates(path: Path) -> list[TaxRate]:
    """Return the rates of a file. Raises RateFileError, also when it cannot be read."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise RateFileError([RateFault(str(path), None, f"cannot be read: {reason}")]) from error
    return parse_rates(text, str(path))


def parse_rates(text: str, file: str) -> list[TaxRate]:
    """Return the rates of a text; `file` is where it comes from. Raises RateFileError."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RateFileError([RateFault(file, None, f"is not TOML: {error}")]) from error
    faults = [
        RateFault(file, None, f"the key {key} is not known; allowed is [[rate]]")
        for key in document
        if key != "rate"
    ]
    tables = document.get("rate")
    if not isinstance(tables, list) or not tables:
        raise RateFileError([*faults, RateFault(file, None, "there is no [[rate]]")])
    headers = [text.count("\n", 0, match.end()) + 1 for match in _HEADER.finditer(text)]
    rates: list[TaxRate] = []
    for number, table in enumerate(cast("list[Any]", tables)):
        line = headers[number] if number < len(headers) else None
        rate, messages = _rate(table)
        faults += [RateFault(file, line, message) for message in messages]
        if not messages and any(_same(rate, known) for known in rates):
            faults.append(RateFault(file, line, f"{_named(rate)}: there are two of that day"))
        rates.append(rate)
    if faults:
        raise RateFileError(faults)
    return rates


def _rate(table: Any) -> tuple[TaxRate, list[str]]:
    """The rate of a table, not to be used if there are faults."""
    if not isinstance(table, dict):
        return _STAND_IN, ["a rate is written as a table, under [[rate]]"]
    values = cast("dict[str, Any]", table)
    faults = [_unknown(key) for key in values if key not in _KEYS]
    field = _Fields(values, faults)
    percent = field.required("percent", str, 'a text such as "9.975"')
    ppm = 1
    if percent is not None:
        try:
            ppm = parse_percent(percent)
        except InvalidInput as error:
            faults.append(str(error))
    code = field.optional("code", str, "S, Z, E or O", "S" if ppm else "Z")
    if code not in list(TaxCode):
        faults.append(f"code is {code!r}, allowed is S, Z, E or O")
        code = "S"
    rate = TaxRate(
        jurisdiction=field.required("jurisdiction", str, "a text") or _STAND_IN.jurisdiction,
        category=field.required("category", str, "a text") or _STAND_IN.category,
        tax=field.required("tax", str, "a text") or _STAND_IN.tax,
        valid_from=field.required("from", date, "a day such as 2021-01-01") or date.min,
        ppm=ppm,
        valid_until=field.optional("until", date, "a day such as 2021-01-01", None),
        place=field.optional("place", int, "1 to 9", 1),
        compound=field.optional("compound", bool, "true or false", False),
        code=TaxCode(code),
        reason=field.optional("reason", str, "a text", ""),
    )
    return rate, faults or [f"{_named(rate)}: {fault}" for fault in rate.faults()]


class _Fields:
    """Reads the keys of a table; what is not as it must be is noted."""

    def __init__(self, table: dict[str, Any], faults: list[str]) -> None:
        self._table = table
        self._faults = faults

    def required(self, key: str, kind: type[Any], allowed: str) -> Any:
        if key not in self._table:
            self._faults.append(f"{key} is missing; it is {allowed}")
            return None
        return self.optional(key, kind, allowed, None)

    def optional(self, key: str, kind: type[Any], allowed: str, default: Any) -> Any:
        value = self._table.get(key, default)
        # A bool is an int, and a datetime a date, to Python only.
        odd = isinstance(value, datetime) or (isinstance(value, bool) and kind is not bool)
        if value is default or (isinstance(value, kind) and not odd):
            return value
        self._faults.append(f"{key} is {value!r}, allowed is {allowed}")
        return default


def _unknown(key: str) -> str:
    near = difflib.get_close_matches(key, _KEYS, 1)
    hint = f"did you mean {near[0]}?" if near else f"allowed are {', '.join(_KEYS)}"
    return f"the key {key} is not known; {hint}"


def _same(rate: TaxRate, known: TaxRate) -> bool:
    return _key(rate) == _key(known)


def _key(rate: TaxRate) -> tuple[str, str, str, date]:
    return rate.jurisdiction, rate.category, rate.tax, rate.valid_from


def _named(rate: TaxRate) -> str:
    return f"{rate.tax} in {rate.jurisdiction}, {rate.category}, from {rate.valid_from}"
