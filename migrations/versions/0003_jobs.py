"""The job queue: PgQueuer's own tables."""

from migrations.steps import refuse, run_sql

revision = "0003"
down_revision = "0002"
downgrade = refuse


def upgrade() -> None:
    """Create what PgQueuer needs."""
    run_sql(__file__)
