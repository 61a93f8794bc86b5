"""Reading the tables of a plan file field by field, and finding the lines they are on."""

import difflib
import enum
import re
from typing import Any, Final, Literal, TypeVar, cast

import msgspec

from rating.money import AmountError, parse_amount

Kind = Literal["octets", "seconds"]

UNITS: Final[dict[Kind, dict[str, int]]] = {
    "octets": {
        "kB": 10**3,
        "MB": 10**6,
        "GB": 10**9,
        "TB": 10**12,
        "KiB": 2**10,
        "MiB": 2**20,
        "GiB": 2**30,
        "TiB": 2**40,
    },
    "seconds": {"second": 1, "minute": 60, "hour": 3600, "day": 86_400},
}

_QUANTITY: Final = re.compile(r"(?:([0-9]{1,15}) ?)?([A-Za-z]+)")

_HEADER: Final = re.compile(r"\s*\[\[\s*(plan|plan\s*\.\s*rule)\s*\]\]")
_KEY: Final = re.compile(r"""\s*["']?([A-Za-z0-9_-]+)["']?\s*=""")

_Choice = TypeVar("_Choice", bound=enum.StrEnum)


class Fault(msgspec.Struct, frozen=True):
    """One fault of a plan file. `line` counts from 1; None where it cannot be told."""

    file: str
    line: int | None
    plan: str
    message: str

    def __str__(self) -> str:
        """One line, for people."""
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        return (
            f"{place}: {self.message}"
            if not self.plan
            else (f"{place}: plan {self.plan}: {self.message}")
        )


class Lines:
    """Where the tables and keys of a plan file are, as far as its lines tell."""

    def __init__(self, text: str) -> None:
        # Of each plan: its own keys, then those of its rules; "" is the header.
        self._plans: list[list[dict[str, int]]] = []
        current: dict[str, int] = {}
        for number, line in enumerate(text.splitlines(), 1):
            header = _HEADER.match(line)
            if header is not None:
                current = {"": number}
                if header.group(1) == "plan":
                    self._plans.append([current])
                elif self._plans:
                    self._plans[-1].append(current)
            elif line.lstrip().startswith("["):
                current = {}
            elif (key := _KEY.match(line)) is not None:
                current.setdefault(key.group(1), number)

    def of_plan(self, index: int) -> int | None:
        """Return the line of a plan's header."""
        return self.of_plan_keys(index).get("")

    def of_plan_keys(self, index: int) -> dict[str, int]:
        """Return the lines of a plan's keys."""
        return self._plans[index][0] if index < len(self._plans) else {}

    def of_rule_keys(self, index: int, rule: int) -> dict[str, int]:
        """Return the lines of the keys of a plan's rule."""
        tables = self._plans[index] if index < len(self._plans) else []
        return tables[rule + 1] if rule + 1 < len(tables) else {}


class Fields:
    """One table. Each method returns a value; for a faulty one it notes why and has a stand-in.

    `place` is where the table is; `lines` where its keys are; faults go to `faults`.
    """

    def __init__(
        self,
        table: dict[str, Any],
        place: Fault,
        lines: dict[str, int],
        faults: list[Fault],
        prefix: str = "",
    ) -> None:
        self.place = place
        self.faults = faults
        self._table = table
        self._lines = lines
        self._prefix = prefix

    def fault(self, key: str, message: str) -> None:
        """Note a fault of a key, or of the table ("")."""
        line = self._lines.get(key, self.place.line)
        self.faults.append(
            msgspec.structs.replace(self.place, line=line, message=self._prefix + message)
        )

    def refuse_unknown(self, known: tuple[str, ...]) -> None:
        """Note a fault for each key that is not known."""
        for key in self._table:
            if key not in known:
                near = difflib.get_close_matches(key, known, 1)
                hint = f"did you mean {near[0]}?" if near else f"allowed are {', '.join(known)}"
                self.fault(key, f"the key {key} is not known; {hint}")

    def tables(self, key: str, header: str) -> list[dict[str, Any]]:
        """Return an array of tables, each under its header; empty if it is missing."""
        value = self._table.get(key, [])
        if isinstance(value, list):
            items = cast("list[Any]", value)
            if all(isinstance(item, dict) for item in items):
                return items
        self.fault(key, f"{key} is to be written as tables, each under [[{header}]]")
        return []

    def table(self, key: str, header: str) -> dict[str, Any]:
        """Return a table under its header; empty if it is missing."""
        value = self._table.get(key, {})
        if isinstance(value, dict):
            return cast("dict[str, Any]", value)
        self.fault(key, f"{key} is to be written as a table, under [{header}]")
        return {}

    def text(self, key: str, stand_in: str) -> str:
        """Return a text that must be there."""
        value = self._required(key)
        if isinstance(value, str):
            return value
        if value is not None:
            self.fault(key, f"{key} is {value!r}, allowed is a text")
        return stand_in

    def one_of(self, key: str, kind: type[_Choice], default: _Choice | None) -> _Choice | None:
        """Return a member of an enumeration; `default` None means that it must be there."""
        value = self._table.get(key, default) if default else self._required(key)
        choices = list(kind)
        if value in choices:
            return kind(value)
        if value is not None:
            self.fault(key, f"{key} is {value!r}, allowed is {' or '.join(choices)}")
        return default

    def amount(self, key: str, default: int | None = None) -> int:
        """Return the micros of a decimal text in currency units."""
        value = self._required(key) if default is None else self._table.get(key)
        if value is None:
            return default or 0
        if not isinstance(value, str):
            # 0.1 in a TOML file is a binary fraction, and money is not.
            self.fault(key, f'{key} is {value!r}; write it as a text: {key} = "{value}"')
            return 0
        try:
            return parse_amount(value)
        except AmountError as error:
            self.fault(key, f"{key}: {error}")
            return 0

    def quantity(self, key: str, kind: Kind, default: int) -> int:
        """Return a number of octets or seconds, written as a number or with its unit."""
        value = self._table.get(key, default)
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        match = _QUANTITY.fullmatch(value) if isinstance(value, str) else None
        unit = UNITS[kind].get(match.group(2)) if match else None
        if match is None or unit is None:
            units = ", ".join(UNITS[kind])
            self.fault(
                key,
                f"{key} is {value!r}, allowed is a number of {kind}, or one of {units},"
                f' also with a number before it ("10 {next(iter(UNITS[kind]))}")',
            )
            return default
        return int(match.group(1) or 1) * unit

    def _required(self, key: str) -> Any:
        if key not in self._table:
            self.fault("", f"{key} is missing")
        return self._table.get(key)
