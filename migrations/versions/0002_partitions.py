"""Monthly partitions of what grows with time."""

from migrations.steps import refuse, run_sql

revision = "0002"
down_revision = "0001"
downgrade = refuse


def upgrade() -> None:
    """Create the function that makes partitions ahead."""
    run_sql(__file__)
