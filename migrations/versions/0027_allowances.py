"""Allowances that were granted by hand."""

from migrations.steps import refuse, run_sql

revision = "0027"
down_revision = "0026"
downgrade = refuse


def upgrade() -> None:
    """Allowances that were granted by hand."""
    run_sql(__file__)
