"""All commands, and the modules they are in."""

from collections.abc import Sequence
from importlib import import_module

import typer

MODULES = {
    "serving": ("serve",),
    "showing": ("demo", "simulate"),
    "checking": ("check",),
    "operations": ("migrate", "nas", "token"),
    "catalogue": ("plan",),
    "rate": ("rate",),
    "allowances": ("allowance",),
    "people": ("account", "subscriber", "import"),
    "selling": ("offer", "coupon"),
    "services": ("service",),
    "cycles": ("cycle",),
    "dunning": ("dunning", "suspend", "resume", "payment-plan"),
    "money": ("topup", "balance", "ledger", "reconcile", "rebuild-balances"),
    "payments": ("payment", "voucher", "statement"),
    "gateways": ("auto-topup", "gateway"),
    "bank": ("bank",),
    "issuers": ("entity", "tax"),
    "invoicing": ("invoice", "credit-note", "message"),
    "safekeeping": ("backup", "restore"),
    "enforcement": ("sessions", "session", "jobs"),
    "reports": ("usage", "unrated", "report"),
    "review": ("rerate", "write-off"),
}


def app_for(arguments: Sequence[str]) -> typer.Typer:
    """Return the command line for these arguments.

    With a command among them it is that command's module alone: to load all of them takes several
    times as long as most commands run.
    """
    app = typer.Typer(
        name="ratewire",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )
    app.callback()(_ratewire)
    given = next((word for word in arguments if not word.startswith("-")), None)
    modules = [module for module, commands in MODULES.items() if given in commands]
    for module in modules or MODULES:
        import_module(f"ratewire.cli.{module}").register(app)
    return app


def _ratewire() -> None:
    """Real-time prepaid rating and billing for internet service providers, over RADIUS."""
