"""How every command runs: its settings, its servers, its output."""

import asyncio
import getpass
import os
import sys
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, TypeVar

import msgspec
import typer
from rich.cells import cell_len, set_cell_size

from balances.errors import StoreError
from billing.database import unavailable
from config.load import load
from config.settings import Settings
from ratewire import logs
from ratewire.preparation import prepare, prepare_reading
from ratewire.wiring import System, servers

T = TypeVar("T")

ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", help="Settings in TOML; RATEWIRE_SECTION__KEY overrides each."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


class Refused(Exception):
    """A command cannot be carried out; the message says why and what is allowed."""


def settings_of(config: Path | None) -> Settings:
    """Return the settings. Raises SettingsError with every fault."""
    return load(config, os.environ)


def run(
    config: Path | None,
    work: Callable[[System], Awaitable[T]],
    *,
    store: bool = True,
    database: bool = True,
) -> T:
    """Carry out a command on a system that is ready for it, and return what it returns.

    `store` False: it only reads the database, and the store may be away; `database` False: it asks
    the store, and may do without the database.
    """
    settings = settings_of(config)
    # Commands speak for themselves; their logs are for what goes wrong behind them.
    logs.configure("warning", settings.log.format or "console", role="command")
    return asyncio.run(_run(settings, work, store=store, database=database))


async def _run(
    settings: Settings, work: Callable[[System], Awaitable[T]], *, store: bool, database: bool
) -> T:
    async with servers(settings) as (urls, _):
        system = System(settings, urls, actor=actor())
        make_ready = prepare if store else prepare_reading
        try:
            if database:
                await system.pool()
            await make_ready(system, migrate=settings.database.url is None)
            return await work(system)
        finally:
            await system.close()


async def bring(system: System, *accounts: str) -> bool:
    """Bring what was just posted to the store, for these accounts or for all.

    It is done and kept already, so that it cannot be is no fault of the command: it is told, and
    False returned.
    """
    relay = await system.relay()
    return await _afterwards(relay.drain(accounts or None))


async def publish(system: System) -> bool:
    """Bring plans and NASes that were just changed to the store; as `bring`."""
    relay = await system.relay()
    return await _afterwards(relay.publish())


async def _afterwards(work: Awaitable[object]) -> bool:
    try:
        await work
    except Exception as error:
        if not (isinstance(error, StoreError) or unavailable(error)):
            raise
        warn(f"this is done, but has not reached the store: {error}; 'ratewire serve' brings it")
        return False
    return True


def warn(message: str) -> None:
    """Tell on standard error what is odd, and goes on."""
    print(f"ratewire: warning: {message}", file=sys.stderr)


def print_json(value: object) -> None:
    """Print a value as indented JSON."""
    print(msgspec.json.format(msgspec.json.encode(value, enc_hook=_text), indent=2).decode())


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print rows for people; columns that hold numbers are aligned to the right.

    A line is as long as it must be: whatever wraps it, a name in it can be copied whole.
    """
    cells = [["" if cell is None else printable(str(cell)) for cell in row] for row in rows]
    lines = [list(columns), *cells]
    widths = [max(cell_len(line[index]) for line in lines) for index in range(len(columns))]
    numbers = [
        bool(rows) and all(isinstance(row[index], int) for row in rows)
        for index in range(len(columns))
    ]
    print(title)
    for line in lines:
        padded = [
            " " * (width - cell_len(cell)) + cell if right else set_cell_size(cell, width)
            for cell, width, right in zip(line, widths, numbers, strict=True)
        ]
        print("  ".join(padded).rstrip())
    if not rows:
        print("(none)")


def printable(text: str) -> str:
    """Return a text that is safe to show: a NAS can put anything into a name."""
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode() for each in text
    )


def moment(at: datetime) -> str:
    """Return a time for people, in UTC, which the column says."""
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")


def actor() -> str:
    """Return who gives the command, for the books: the user of this machine."""
    try:
        return f"cli:{getpass.getuser()}"
    except (KeyError, OSError):
        return f"cli:uid {os.getuid()}"


def secret_value(text: str, name: str) -> bytes:
    """Return a secret given as @FILE, as - (standard input), or as itself, with a warning.

    One line break at the end of a file or of standard input is not part of it. Raises Refused.
    """
    if text == "-":
        return _without_line_break(sys.stdin.buffer.read())
    if text.startswith("@"):
        try:
            return _without_line_break(Path(text[1:]).read_bytes())
        except OSError as error:
            raise Refused(f"{name} {text}: {error.strerror}; allowed is a readable file") from error
    warn(f"{name} on the command line is seen by every user of this machine; use @FILE or -")
    return text.encode()


def _without_line_break(secret: bytes) -> bytes:
    for line_break in (b"\r\n", b"\n"):
        if secret.endswith(line_break):
            return secret.removesuffix(line_break)
    return secret


def _text(value: object) -> object:
    if isinstance(value, bytes):
        return value.hex()
    raise TypeError(type(value))
