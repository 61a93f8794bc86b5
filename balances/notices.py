"""Word that something became due at once, so that nobody has to poll fast."""

import asyncio
import contextlib
from typing import Any, Protocol, cast

from redis.asyncio import Redis
from redis.exceptions import RedisError

from balances.keys import prefix


class _Subscription(Protocol):
    """The little of redis-py's pub/sub that is used here, typed."""

    async def subscribe(self, channel: str) -> Any: ...

    async def get_message(
        self, *, ignore_subscribe_messages: bool, timeout: float
    ) -> dict[str, Any] | None: ...

    async def aclose(self) -> None: ...


class Notices:
    """Listens on the partition's channel. Loses notices while the store is away: poll as well."""

    def __init__(self, url: str, *, partition: int = 0, timeout_ms: int = 2000) -> None:
        self._channel = f"{prefix(partition)}:soon"
        self._client: Redis = Redis.from_url(  # pyright: ignore[reportUnknownMemberType] -- **kwargs
            url, socket_connect_timeout=timeout_ms / 1000
        )
        self._subscription: _Subscription | None = None

    async def wait(self, timeout_s: float) -> bool:
        """Return True as soon as there is a notice, False after the timeout (seconds)."""
        if timeout_s <= 0:
            return False
        try:
            if self._subscription is None:
                pubsub = self._client.pubsub()  # pyright: ignore[reportUnknownMemberType] -- **kwargs
                self._subscription = cast("_Subscription", pubsub)
                await self._subscription.subscribe(self._channel)
            message = await self._subscription.get_message(
                ignore_subscribe_messages=True, timeout=timeout_s
            )
        except RedisError:
            await self._drop()
            await asyncio.sleep(timeout_s)
            return False
        return message is not None

    async def close(self) -> None:
        """Stop listening."""
        await self._drop()
        await self._client.aclose()

    async def _drop(self) -> None:
        subscription, self._subscription = self._subscription, None
        if subscription is not None:
            with contextlib.suppress(RedisError):
                await subscription.aclose()
