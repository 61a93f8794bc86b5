"""All commands."""

import typer

from ratewire.cli import (
    catalogue,
    enforcement,
    money,
    operations,
    people,
    reports,
    serving,
    showing,
)

app = typer.Typer(
    name="ratewire",
    help="Real-time prepaid rating and billing for internet service providers, over RADIUS.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

for module in (serving, showing, operations, catalogue, people, money, enforcement, reports):
    module.register(app)
