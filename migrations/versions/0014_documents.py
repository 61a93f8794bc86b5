"""Documents as files, and the messages that bring them."""

from migrations.steps import refuse, run_sql

revision = "0014"
down_revision = "0013"
downgrade = refuse


def upgrade() -> None:
    """Create the tables."""
    run_sql(__file__)
