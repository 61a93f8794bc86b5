"""Credit notes that were voided."""

from migrations.steps import refuse, run_sql

revision = "0023"
down_revision = "0022"
downgrade = refuse


def upgrade() -> None:
    """Credit notes that were voided."""
    run_sql(__file__)
