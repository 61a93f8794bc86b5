"""Sessions that the store does not know any more, looked up in Postgres for the intake."""

import time
from collections.abc import Mapping, Sequence

from balances.messages import StoredSession
from billing.database import unavailable, within
from billing.sessions import archive
from billing.sessions.archive import ArchivedSession
from ratewire.pipeline.intake import ArchiveUnavailable
from ratewire.pipeline.progress import stored_from_archive
from ratewire.wiring import System

#: A batch waits for Postgres no longer than this, for others are in it that do not need it; and
#: after a failure Postgres is left alone for as long (seconds).
PATIENCE_S = 1.0


class Archive:
    """ratewire.pipeline.intake.Archive; connects to Postgres when it is first asked."""

    def __init__(self, system: System) -> None:
        self._system = system
        self._ask_again = 0.0

    async def find(self, keys: Sequence[str]) -> Mapping[str, StoredSession]:
        """Return the newest epoch of each session that Postgres knows, with version 0."""
        if time.monotonic() < self._ask_again:
            raise ArchiveUnavailable("it did not answer a moment ago")
        try:
            found = await within(PATIENCE_S, self._find(keys))
        except Exception as error:
            if unavailable(error):
                self._ask_again = time.monotonic() + PATIENCE_S
                raise ArchiveUnavailable(str(error)) from error
            raise
        return {
            key: stored_from_archive(each.uid, each.account, each.state, is_open=each.open)
            for key, each in found.items()
        }

    async def _find(self, keys: Sequence[str]) -> Mapping[str, ArchivedSession]:
        pool = await self._system.pool()
        async with pool.acquire() as conn:
            return await archive.find(conn, keys, interval_seconds=self._system.terms.interim)
