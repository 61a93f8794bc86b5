"""The real store, with what the tests need to see and to disturb between relay and store."""

import asyncio
from collections.abc import Callable, Mapping, Sequence

from balances.connection import Connection
from balances.errors import StoreRefused
from balances.messages import AnyMovement
from balances.store import Store


class WatchedStore(Store):
    """Counts calls, wakes who waits for something to be applied or published, fails when told."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self.attempts = 0
        """How often `revision` or `apply` were called, answered or not."""
        self.calls: list[int] = []
        """How many movements each answered call of `apply` carried."""
        self.published_revisions: list[tuple[str, int]] = []
        self.fail_after_apply: Exception | None = None
        """Raised once, after a call that was booked: its reply is lost."""
        self._changed = asyncio.Condition()

    async def apply(self, movements: Sequence[AnyMovement]) -> list[int]:
        await self._attempted()
        try:
            applied = await super().apply(movements)
        except StoreRefused:
            self.calls.append(len(movements))
            raise
        async with self._changed:
            self.calls.append(len(movements))
            self._changed.notify_all()
        error, self.fail_after_apply = self.fail_after_apply, None
        if error is not None:
            raise error
        return applied

    async def publish(self, what: str, revision: int, values: Mapping[str, bytes]) -> None:
        await super().publish(what, revision, values)
        async with self._changed:
            self.published_revisions.append((what, revision))
            self._changed.notify_all()

    async def revision(self, what: str) -> int:
        await self._attempted()
        return await super().revision(what)

    async def _attempted(self) -> None:
        async with self._changed:
            self.attempts += 1
            self._changed.notify_all()

    async def until(self, holds: Callable[[], bool], seconds: float = 20) -> None:
        """Wait until something holds; it is looked at when the relay calls."""
        async with asyncio.timeout(seconds), self._changed:
            await self._changed.wait_for(holds)
