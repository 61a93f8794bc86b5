"""Customers, payments, vouchers, and the trail of changes."""

from migrations.steps import refuse, run_sql

revision = "0009"
down_revision = "0008"
downgrade = refuse


def upgrade() -> None:
    """Create the tables."""
    run_sql(__file__)
