"""The books in plain Python, with the semantics of the store's: model of the tests, and a store for
simulated worlds.

`store.MemoryStore` answers every port. `partition` is what is kept, `booking` the rules of commits
and movements, `enforcement` those of jobs. Same calls and same clock give the same answers.
"""

from balances.memory.store import MemoryStore

__all__ = ["MemoryStore"]
