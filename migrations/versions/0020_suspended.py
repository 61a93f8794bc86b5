"""Subscribers that are suspended, and sessions that went on under another plan."""

from migrations.steps import refuse, run_sql

revision = "0020"
down_revision = "0019"
downgrade = refuse


def upgrade() -> None:
    """Add the column, and the reason."""
    run_sql(__file__)
