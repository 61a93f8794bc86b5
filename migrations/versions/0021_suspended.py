"""Subscribers that are suspended, and sessions that went on under another plan."""

from migrations.steps import refuse, run_sql

revision = "0021"
down_revision = "0020"
downgrade = refuse


def upgrade() -> None:
    """Add the column, and the reason."""
    run_sql(__file__)
