"""What an enforcement job does: a cut, or a change of a running session."""

from migrations.steps import refuse, run_sql

revision = "0019"
down_revision = "0018"
downgrade = refuse


def upgrade() -> None:
    """Add the column."""
    run_sql(__file__)
