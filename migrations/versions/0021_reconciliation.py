"""Bank files, and the lines of them that payments are made from."""

from migrations.steps import refuse, run_sql

revision = "0021"
down_revision = "0020"
downgrade = refuse


def upgrade() -> None:
    """Create the tables."""
    run_sql(__file__)
