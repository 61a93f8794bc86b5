"""The small world's fixtures, for these tests."""

from tests.billing.settlement.fixtures import books, desk, settler, worker

__all__ = ["books", "desk", "settler", "worker"]
