"""Invoices, their numbers and lines, and the settled charges behind them."""

from migrations.steps import refuse, run_sql

revision = "0010"
down_revision = "0009"
downgrade = refuse


def upgrade() -> None:
    """Create the tables."""
    run_sql(__file__)
