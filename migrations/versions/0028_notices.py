"""Who is to be told that an allowance runs out."""

from migrations.steps import refuse, run_sql

revision = "0028"
down_revision = "0027"
downgrade = refuse


def upgrade() -> None:
    """Who is to be told that an allowance runs out."""
    run_sql(__file__)
