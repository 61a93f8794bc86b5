"""What coupons took off which invoice."""

from migrations.steps import refuse, run_sql

revision = "0025"
down_revision = "0024"
downgrade = refuse


def upgrade() -> None:
    """What coupons took off which invoice."""
    run_sql(__file__)
