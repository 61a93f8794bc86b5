"""What billing runs did, by account."""

from migrations.steps import refuse, run_sql

revision = "0008"
down_revision = "0007"
downgrade = refuse


def upgrade() -> None:
    """Number the outcomes of runs."""
    run_sql(__file__)
