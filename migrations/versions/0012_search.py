"""What transactions and payments are searched by."""

from migrations.steps import refuse, run_sql

revision = "0012"
down_revision = "0011"
downgrade = refuse


def upgrade() -> None:
    """Create the indexes."""
    run_sql(__file__)
