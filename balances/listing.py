"""Walking through what is open, for people and for checks; never on the hot path."""

from collections.abc import AsyncIterator, Sequence

from balances import layout
from balances.connection import Connection
from balances.messages import DueSession

#: Sessions of one step of a walk.
CHUNK = 500


class Listing:
    """The open sessions of a partition. A walk sees each session that is open throughout it."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def open_sessions(self) -> AsyncIterator[DueSession]:
        """Yield all open sessions, in no order."""
        async for session in self._walk("ZSCAN", f"{self._connection.prefix}:wake", step=2):
            yield session

    async def of_account(self, account: str) -> AsyncIterator[DueSession]:
        """Yield the open sessions of an account, in no order."""
        async for session in self._walk("SSCAN", f"{self._connection.prefix}:as:{account}", step=1):
            yield session

    async def session(self, key: str) -> DueSession | None:
        """Return one session by its key, open or closed; None if it is not known."""
        found = await self._fetch([key])
        return found[0] if found else None

    async def _walk(self, command: str, index: str, *, step: int) -> AsyncIterator[DueSession]:
        cursor, seen = 0, set[str]()
        while True:
            following, members = await self._connection.command(
                command, index, cursor, "COUNT", CHUNK
            )
            keys = [member.decode() for member in members[::step]]
            fresh = [key for key in dict.fromkeys(keys) if key not in seen]
            seen.update(fresh)
            for session in await self._fetch(fresh):
                if session.stored.open:
                    yield session
            cursor = int(following)
            if cursor == 0:
                return

    async def _fetch(self, keys: Sequence[str]) -> list[DueSession]:
        if not keys:
            return []
        names = [f"{self._connection.prefix}:s:{key}" for key in keys]
        values = await self._connection.command("MGET", *names)
        return [
            DueSession(key, layout.session_of(value))
            for key, value in zip(keys, values, strict=True)
            if value is not None
        ]
