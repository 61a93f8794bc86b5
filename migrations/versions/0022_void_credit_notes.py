"""Credit notes that were voided."""

from migrations.steps import refuse, run_sql

revision = "0022"
down_revision = "0021"
downgrade = refuse


def upgrade() -> None:
    """Credit notes that were voided."""
    run_sql(__file__)
