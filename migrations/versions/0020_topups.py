"""Documents of top-ups; an index of what documents billed."""

from migrations.steps import refuse, run_sql

revision = "0020"
down_revision = "0019"
downgrade = refuse


def upgrade() -> None:
    """Documents of top-ups; an index of what documents billed."""
    run_sql(__file__)
