"""Tokens with a name and an end."""

from migrations.steps import refuse, run_sql

revision = "0024"
down_revision = "0023"
downgrade = refuse


def upgrade() -> None:
    """Tokens with a name and an end."""
    run_sql(__file__)
