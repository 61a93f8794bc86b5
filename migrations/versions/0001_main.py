"""Accounts, the ledger, settlement, the road to the store."""

from migrations.steps import refuse, run_sql

revision = "0001"
down_revision = None
downgrade = refuse


def upgrade() -> None:
    """Create all of it."""
    run_sql(__file__)
