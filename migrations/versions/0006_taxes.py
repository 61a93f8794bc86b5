"""Tax rates, dated, by jurisdiction and category."""

from migrations.steps import refuse, run_sql

revision = "0006"
down_revision = "0005"
downgrade = refuse


def upgrade() -> None:
    """Create the table."""
    run_sql(__file__)
