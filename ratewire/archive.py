"""Sessions that the store does not know any more, looked up in Postgres for the intake."""

from collections.abc import Mapping, Sequence

from balances.messages import StoredSession
from billing.database import unavailable
from billing.sessions import archive
from ratewire.pipeline.intake import ArchiveUnavailable
from ratewire.pipeline.steps import stored_from_archive
from ratewire.wiring import System


class Archive:
    """ratewire.pipeline.intake.Archive; connects to Postgres when it is first asked."""

    def __init__(self, system: System) -> None:
        self._system = system

    async def find(self, keys: Sequence[str]) -> Mapping[str, StoredSession]:
        """Return the newest epoch of each session that Postgres knows, with version 0."""
        interval = self._system.terms.interim
        try:
            pool = await self._system.pool()
            async with pool.acquire() as conn:
                found = await archive.find(conn, keys, interval_seconds=interval)
        except Exception as error:
            if unavailable(error):
                raise ArchiveUnavailable(str(error)) from error
            raise
        return {
            key: stored_from_archive(each.uid, each.account, each.state, is_open=each.open)
            for key, each in found.items()
        }
