"""Reading subscribers from a CSV file. Pure: every fault is found that the file alone shows.

The header is username,account,plan,currency,topup and optionally password, password_kind,
session_limit, when_full, calling_station, nas, framed_pool and framed_ip, in any order. What is
empty is none, or as it is by default.
"""

import csv
from collections.abc import Callable, Iterable
from typing import Final, TypeVar

import msgspec

from billing.accounts.account import MAX_BALANCE_MICROS, account_id, currency_code
from billing.errors import InvalidInput
from billing.subscribers.login import (
    NO_BOUNDS,
    Bounds,
    PasswordKind,
    WhenFull,
    bounds_fault,
)
from billing.subscribers.subscriber import password_fault, username_fault
from rating.money import AmountError, format_micros, parse_amount

REQUIRED: Final = ("username", "account", "plan", "currency", "topup")
OPTIONAL: Final = (
    *("password", "password_kind", "session_limit", "when_full"),
    *("calling_station", "nas", "framed_pool", "framed_ip"),
)

Choice = TypeVar("Choice", PasswordKind, WhenFull)

#: So many faults are listed; the rest is only counted.
MAX_FAULTS: Final = 1000

#: How often the reader tells how far it is, in rows.
_TELL_EVERY: Final = 1000


class Fault(msgspec.Struct, frozen=True):
    """What is wrong with a line of the file (the first is 1), and in which column, if in one."""

    line: int
    column: str
    message: str

    def __str__(self) -> str:
        """One line, for people."""
        where = f"line {self.line}"
        return (
            f"{where}, {self.column}: {self.message}"
            if self.column
            else (f"{where}: {self.message}")
        )


class Row(msgspec.Struct, frozen=True):
    """A subscriber to be taken in, from a line of the file."""

    line: int
    username: str
    account: str
    plan: str
    currency: str
    topup_micros: int
    password: str | None
    kind: PasswordKind = PasswordKind.CLEAR
    bounds: Bounds = NO_BOUNDS


class Faults:
    """Faults, up to a bound, and how many there are in all."""

    def __init__(self) -> None:
        self.listed: list[Fault] = []
        self.number = 0

    def add(self, line: int, column: str, message: str) -> None:
        """Note a fault."""
        self.number += 1
        if len(self.listed) < MAX_FAULTS:
            self.listed.append(Fault(line, column, message))


def read_rows(
    lines: Iterable[str], faults: Faults, progress: Callable[[int], None] = lambda _: None
) -> list[Row]:
    """Return the rows of a file; faulty ones are noted in `faults` and left out.

    `lines` are as they are read from a file opened with newline="". `progress` is told how many
    rows were read so far.
    """
    reader = csv.reader(lines, strict=True)
    rows: list[Row] = []
    try:
        header: list[str] = next(reader, list[str]())
        columns = _columns(header, faults)
        if columns is None:
            return []
        check = _Check(faults)
        line = reader.line_num + 1
        for fields in reader:
            if len(fields) == len(header):
                row = check.row(line, {name: fields[index] for name, index in columns.items()})
                if row is not None:
                    rows.append(row)
            elif fields:
                faults.add(line, "", f"has {len(fields)} fields, the header has {len(header)}")
            line = reader.line_num + 1
            if check.rows % _TELL_EVERY == 0:
                progress(check.rows)
        progress(check.rows)
    except csv.Error as error:
        faults.add(reader.line_num, "", f"is not CSV: {error}")
    return rows


def _columns(header: list[str], faults: Faults) -> dict[str, int] | None:
    """Where the known columns are, a missing optional one excepted; None if the header is wrong."""
    missing = [name for name in REQUIRED if name not in header]
    unknown = [name for name in header if name not in REQUIRED + OPTIONAL]
    double = [name for index, name in enumerate(header) if name in header[:index]]
    for what, names in (("lacks", missing), ("does not know", unknown), ("repeats", double)):
        if names:
            faults.add(
                1,
                "",
                f"the header {what} {', '.join(map(repr, names))};"
                f" allowed is {','.join(REQUIRED)} and optionally {','.join(OPTIONAL)}",
            )
    if missing or unknown or double:
        return None
    return {name: header.index(name) for name in REQUIRED + OPTIONAL if name in header}


class _Check:
    """Checks rows, each by itself and against those before it."""

    def __init__(self, faults: Faults) -> None:
        self.rows = 0
        self._faults = faults
        self._usernames: dict[str, int] = {}
        self._accounts: dict[str, tuple[str, int]] = {}
        self._credit: dict[str, int] = {}

    def row(self, line: int, fields: dict[str, str]) -> Row | None:
        """The row of a line; None if it has a fault."""
        self.rows += 1
        before = self._faults.number
        username, account, plan, currency, topup = (fields[name] for name in REQUIRED)
        fault = username_fault(username)
        if fault is not None:
            self._faults.add(line, "username", f"{username!r} {fault}")
        elif (first := self._usernames.setdefault(username, line)) != line:
            self._faults.add(line, "username", f"{username!r} is on line {first} already")
        if not plan or "\0" in plan:
            self._faults.add(line, "plan", f"{plan!r} is no name")
        self._check_account(line, account, currency)
        micros = self._amount(line, account, topup)
        password = fields.get("password") or None
        if password is not None:
            fault = password_fault(password.encode(errors="surrogatepass"))
            if fault is not None:
                self._faults.add(line, "password", fault)
        kind = self._choice(line, fields, "password_kind", PasswordKind.CLEAR)
        bounds = self._bounds(line, fields)
        if self._faults.number > before:
            return None
        return Row(line, username, account, plan, currency, micros, password, kind, bounds)

    def _choice(self, line: int, fields: dict[str, str], name: str, default: Choice) -> Choice:
        """The value of a column that is one of a few words."""
        text = fields.get(name)
        if not text:
            return default
        kind = type(default)
        if text not in list(kind):
            self._faults.add(line, name, f"{text!r}; allowed are {', '.join(kind)}")
            return default
        return kind(text)

    def _bounds(self, line: int, fields: dict[str, str]) -> Bounds:
        limit = fields.get("session_limit") or None
        if limit is not None and not (limit.isascii() and limit.isdecimal() and len(limit) < 6):
            self._faults.add(line, "session_limit", f"{limit!r}; allowed are 1 to 10000")
            limit = None
        bounds = Bounds(
            None if limit is None else int(limit),
            self._choice(line, fields, "when_full", WhenFull.REFUSE),
            *(
                fields.get(name) or None
                for name in ("calling_station", "nas", "framed_pool", "framed_ip")
            ),
        )
        fault = bounds_fault(bounds)
        if fault is not None:
            self._faults.add(line, *fault)
        return bounds

    def _check_account(self, line: int, account: str, currency: str) -> None:
        known = self._accounts.get(account)
        if known is None:
            try:
                account_id(account)
            except InvalidInput as error:
                self._faults.add(line, "account", str(error))
                return
            try:
                currency_code(currency)
            except InvalidInput as error:
                self._faults.add(line, "currency", str(error))
                return
            self._accounts[account] = (currency, line)
        elif known[0] != currency:
            self._faults.add(
                line,
                "currency",
                f"account {account} is in {known[0]} on line {known[1]}, here in {currency!r}",
            )

    def _amount(self, line: int, account: str, text: str) -> int:
        if not text:
            return 0
        try:
            micros = parse_amount(text)
        except AmountError as error:
            self._faults.add(line, "topup", str(error))
            return 0
        if micros < 0:
            self._faults.add(line, "topup", f"{text!r} is negative; allowed is 0 or more")
            return 0
        total = self._credit.get(account, 0) + micros
        if total > MAX_BALANCE_MICROS:
            self._faults.add(
                line,
                "topup",
                f"account {account} would get more than {format_micros(MAX_BALANCE_MICROS)}",
            )
            return 0
        self._credit[account] = total
        return micros
