"""A store beside the database, for what is asked of both."""

from tests.billing.outbox.conftest import books, connection, store

__all__ = ["books", "connection", "store"]
