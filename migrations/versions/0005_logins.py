"""Logins: password kinds, limits and bounds of subscribers, and what a NAS is known to send."""

from migrations.steps import refuse, run_sql

revision = "0005"
down_revision = "0004"
downgrade = refuse


def upgrade() -> None:
    """Add the columns."""
    run_sql(__file__)
