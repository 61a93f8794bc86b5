"""The commands there are, and what is loaded for one of them."""

import re
import subprocess
import sys
from importlib import import_module

import pytest
import typer

from ratewire.cli.app import MODULES, app_for
from tests.ratewire.cli.command_line import CommandLine

#: The commands of the first issue that has any: stable from there on.
COMMANDS = (
    *("serve", "demo", "simulate", "migrate", "check", "nas add", "plan load", "account create"),
    *("subscriber add", "import subscribers", "topup", "balance", "sessions", "session disconnect"),
    *("jobs", "unrated", "usage", "ledger", "reconcile", "rebuild-balances", "token create"),
    *("backup", "restore"),
)

#: What takes long to load.
HEAVY = {"aiohttp", "alembic", "pgqueuer", "prometheus_client", "sqlalchemy", "uvloop"}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str) -> None:
    told = CommandLine()(*command.split(), "--help")
    assert (told.status, told.err) == (0, "")
    assert told.out.startswith(f"Usage: ratewire {command} ")


def test_each_module_has_the_commands_that_it_is_said_to_have() -> None:
    for module, commands in MODULES.items():
        app = typer.Typer()
        app.callback()(lambda: None)
        import_module(f"ratewire.cli.{module}").register(app)
        assert sorted(typer.main.get_group(app).commands) == sorted(commands)


def test_help_lists_them_all() -> None:
    told = CommandLine().done("--help")
    listed = re.findall(r"^  ([a-z][a-z-]*)  ", told, re.MULTILINE)
    assert sorted(listed) == sorted(each for commands in MODULES.values() for each in commands)


def test_what_is_no_command_is_told_with_one_that_is_near() -> None:
    told = CommandLine()("reconsile", "acme")
    assert (told.status, told.out) == (2, "")
    assert "No such command 'reconsile'. Did you mean 'reconcile'?" in told.err


def test_options_before_the_command_change_nothing() -> None:
    assert app_for(["--verbose", "balance"]).registered_commands
    assert CommandLine()("--verbose", "balance").status == 2


@pytest.mark.parametrize("command", ["balance", "topup", "sessions", "usage", "import"])
def test_a_command_loads_nothing_that_takes_long(command: str) -> None:
    """An operator waits for it."""
    script = (
        "import sys; from ratewire.cli.app import app_for;"
        f" app_for([{command!r}]); print(*({HEAVY!r} & sys.modules.keys()))"
    )
    found = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert found.stdout.split() == []
