"""Stores that pass on what they are asked, and do something at times."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from balances.messages import Account, CommitResult, Lookup, Snapshot, Step
from balances.port import BalanceStore


class Wrapped:
    """A store that does something at times; by default it only passes on what it is asked."""

    def __init__(self, store: BalanceStore) -> None:
        self.store = store

    async def read(self, lookups: Sequence[Lookup]) -> Snapshot:
        return await self.store.read(lookups)

    async def commit(self, steps: Sequence[Step], loose: Sequence[bytes] = ()) -> CommitResult:
        return await self.store.commit(steps, loose)

    async def accounts(self, names: Sequence[str]) -> list[Account | None]:
        return await self.store.accounts(names)

    async def mark_boot(self, nas: str, event_time: int) -> bool:
        return await self.store.mark_boot(nas, event_time)

    async def mark_boots(self, marks: Sequence[tuple[str, int]]) -> list[bool]:
        return await self.store.mark_boots(marks)


class Meeting(Wrapped):
    """All its users have read before the first of them commits."""

    def __init__(self, store: BalanceStore, users: int) -> None:
        super().__init__(store)
        self._barrier = asyncio.Barrier(users)
        self._met = 0
        self._users = users

    async def read(self, lookups: Sequence[Lookup]) -> Snapshot:
        snapshot = await super().read(lookups)
        if self._met < self._users:
            self._met += 1
            await self._barrier.wait()
        return snapshot


class Interrupted(Wrapped):
    """Something happens once, right after the first read."""

    def __init__(self, store: BalanceStore, meanwhile: Callable[[], Awaitable[object]]) -> None:
        super().__init__(store)
        self._meanwhile: Callable[[], Awaitable[object]] | None = meanwhile

    async def read(self, lookups: Sequence[Lookup]) -> Snapshot:
        snapshot = await super().read(lookups)
        meanwhile, self._meanwhile = self._meanwhile, None
        if meanwhile is not None:
            await meanwhile()
        return snapshot
