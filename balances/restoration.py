"""Writing the books anew, behind the fence, from what Postgres knows."""

from collections.abc import Mapping, Sequence

import msgspec

from balances import layout
from balances.connection import Connection
from balances.errors import StoreRefused
from balances.messages import Account, RestoredSession, Subscriber

_pack = msgspec.msgpack.Encoder().encode

#: What of a partition's keys goes when its books begin anew; `u:` is restored, the rest stays.
_CLEARED = (
    "a:*",
    "p:*",
    "s:*",
    "u:*",
    "as:*",
    "ns:*",
    "j:*",
    "g:*",
    "ag:*",
    "lu:*",
    "gs:*",
    "gu:*",
)


class Restoration:
    """balances.port.Restoration, for Valkey."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def fenced(self) -> str | None:
        fence = await self._connection.command("HGET", f"{self._connection.prefix}:meta", "fence")
        return None if fence is None else fence.decode()

    async def _require_fence(self) -> None:
        """Before anything that the library's own functions do not do, and so do not refuse."""
        if await self.fenced() is None:
            raise StoreRefused("books are restored behind a fence only")

    async def restore_boots(self, marks: Mapping[str, int]) -> None:
        await self._require_fence()
        if not marks:
            return
        prefix = self._connection.prefix
        there = await self._connection.command("HMGET", f"{prefix}:boots", *marks)
        pairs: list[str | int] = []
        for (nas, mark), other in zip(marks.items(), there, strict=True):
            pairs += (nas, max(mark, int(other or mark)))
        # The sweeper first: a mark without it would leave the sessions of before it open.
        await self._connection.command("SADD", f"{prefix}:sweeps", *marks)
        await self._connection.command("HSET", f"{prefix}:boots", *pairs)

    async def restart(self, generation: int) -> None:
        await self._require_fence()
        prefix = self._connection.prefix
        # The prefix has a hash tag in braces, which are no wildcards; brackets and stars are.
        for pattern in _CLEARED:
            cursor = 0
            while True:
                following, keys = await self._connection.command(
                    "SCAN", cursor, "MATCH", f"{prefix}:{pattern}", "COUNT", 2000
                )
                if keys:
                    await self._connection.command("UNLINK", *keys)
                cursor = int(following)
                if cursor == 0:
                    break
        await self._connection.call("restart", generation)

    async def restore_accounts(self, accounts: Sequence[Account]) -> None:
        packed = [
            _pack(
                (
                    account.account,
                    layout.account_flags(account),
                    account.balance,
                    account.credit_limit or 0,
                    account.minimum,
                    account.rating_version,
                    account.charged,
                    account.moved,
                    account.currency,
                    layout.packed_octets(account.pool or b""),
                )
            )
            for account in accounts
        ]
        await self._connection.call("restore_accounts", *packed)

    async def restore_subscribers(self, subscribers: Sequence[tuple[str, Subscriber]]) -> None:
        await self._require_fence()
        if not subscribers:
            return
        pairs: list[bytes | str] = []
        for username, subscriber in subscribers:
            pairs += (f"{self._connection.prefix}:u:{username}", _pack(subscriber))
        await self._connection.command("MSET", *pairs)

    async def restore_sessions(self, sessions: Sequence[RestoredSession]) -> None:
        body: list[bytes | str] = []
        for session in sessions:
            body += (
                layout.restored_session(is_open=session.open, quiet=session.quiet, uid=session.uid),
                session.session,
                session.account,
                session.nas,
                session.state,
            )
        await self._connection.call("restore_sessions", self._connection.clock, *body)
