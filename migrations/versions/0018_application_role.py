"""The role that the application works in, which cannot change what is append-only."""

from migrations.steps import refuse, run_sql

revision = "0018"
down_revision = "0017"
downgrade = refuse


def upgrade() -> None:
    """The role that the application works in, which cannot change what is append-only."""
    run_sql(__file__)
