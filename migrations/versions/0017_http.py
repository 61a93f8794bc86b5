"""Requests over HTTP that were done under a key."""

from migrations.steps import refuse, run_sql

revision = "0017"
down_revision = "0016"
downgrade = refuse


def upgrade() -> None:
    """Requests over HTTP that were done under a key."""
    run_sql(__file__)
