"""How every command runs: its settings, its servers, its output."""

import asyncio
import getpass
import os
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Annotated, TypeVar

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from config.load import load
from config.settings import Settings
from ratewire import logs
from ratewire.preparation import prepare
from ratewire.wiring import System, servers

T = TypeVar("T")

ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", help="Settings in TOML; RATEWIRE_SECTION__KEY overrides each."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


def settings_of(config: Path | None) -> Settings:
    """Return the settings. Raises SettingsError with every fault."""
    return load(config, os.environ)


def run(config: Path | None, work: Callable[[System], Awaitable[T]]) -> T:
    """Carry out a command on a system that is ready for it, and return what it returns."""
    settings = settings_of(config)
    # Commands speak for themselves; their logs are for what goes wrong behind them.
    logs.configure("warning", settings.log.format, role="command")
    return asyncio.run(_run(settings, work))


async def _run(settings: Settings, work: Callable[[System], Awaitable[T]]) -> T:
    async with servers(settings) as (urls, _):
        system = System(settings, urls)
        try:
            await prepare(system, migrate=settings.database.url is None)
            return await work(system)
        finally:
            await system.close()


def print_json(value: object) -> None:
    """Print a value as indented JSON."""
    print(msgspec.json.format(msgspec.json.encode(value, enc_hook=_text), indent=2).decode())


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print rows for people; columns that hold numbers are aligned to the right."""
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for index, column in enumerate(columns):
        numbers = all(isinstance(row[index], int) for row in rows)
        table.add_column(column, justify="right" if numbers and rows else "left")
    for row in rows:
        table.add_row(*("" if cell is None else str(cell) for cell in row))
    # What is piped is not cut to the width of a terminal that is not there.
    console = Console(width=None if sys.stdout.isatty() else 200, soft_wrap=True)
    console.print(table)
    if not rows:
        print("(none)")


def actor() -> str:
    """Return who gives the command, for the books: the user of this machine."""
    try:
        return f"cli:{getpass.getuser()}"
    except (KeyError, OSError):
        return f"cli:uid {os.getuid()}"


def secret_value(text: str, name: str) -> bytes:
    """Return a secret given as @FILE, as - (standard input), or as itself, with a warning.

    One line break at the end of a file or of standard input is not part of it.
    """
    if text == "-":
        return sys.stdin.buffer.read().removesuffix(b"\n")
    if text.startswith("@"):
        return Path(text[1:]).read_bytes().removesuffix(b"\n")
    print(
        f"ratewire: warning: {name} on the command line is seen by every user of this machine;"
        f" use @FILE or - instead",
        file=sys.stderr,
    )
    return text.encode()


def _text(value: object) -> object:
    if isinstance(value, bytes):
        return value.hex()
    raise TypeError(type(value))
