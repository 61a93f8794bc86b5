"""Bank files, and the lines of them that payments are made from."""

from migrations.steps import refuse, run_sql

revision = "0022"
down_revision = "0021"
downgrade = refuse


def upgrade() -> None:
    """Create the tables."""
    run_sql(__file__)
