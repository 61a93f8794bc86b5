"""Services, coupons, and billing cycles."""

from migrations.steps import refuse, run_sql

revision = "0007"
down_revision = "0006"
downgrade = refuse


def upgrade() -> None:
    """Create the tables."""
    run_sql(__file__)
