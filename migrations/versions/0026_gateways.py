"""What gateways told, once each, and accounts that are topped up by themselves."""

from migrations.steps import refuse, run_sql

revision = "0026"
down_revision = "0025"
downgrade = refuse


def upgrade() -> None:
    """What gateways told, once each, and accounts that are topped up by themselves."""
    run_sql(__file__)
