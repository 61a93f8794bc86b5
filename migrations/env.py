"""Alembic runs this file for each command; the connection is the runner's. It is never imported."""

from alembic import context

context.configure(
    connection=context.config.attributes["connection"], transaction_per_migration=True
)
with context.begin_transaction():
    context.run_migrations()
