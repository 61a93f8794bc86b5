"""Acct-Terminate-Cause is a 32-bit number without a sign."""

from migrations.steps import refuse, run_sql

revision = "0004"
down_revision = "0003"
downgrade = refuse


def upgrade() -> None:
    """Widen the column."""
    run_sql(__file__)
