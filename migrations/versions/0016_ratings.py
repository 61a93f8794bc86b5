"""What rating keeps beside usage records: pools, tallies and the lines of charges."""

from migrations.steps import refuse, run_sql

revision = "0016"
down_revision = "0015"
downgrade = refuse


def upgrade() -> None:
    """Create the tables."""
    run_sql(__file__)
