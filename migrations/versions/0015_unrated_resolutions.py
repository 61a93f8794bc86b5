"""What became of sessions that could not be rated."""

from migrations.steps import refuse, run_sql

revision = "0015"
down_revision = "0014"
downgrade = refuse


def upgrade() -> None:
    """Create the table."""
    run_sql(__file__)
