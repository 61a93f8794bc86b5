"""What each running process says of itself, kept in the store for readiness and for people."""

from collections.abc import Mapping
from typing import cast

import msgspec

from balances.connection import Connection

#: A process that said nothing for this long is taken for dead.
SILENCE_MS = 5_000

#: Dead ones are forgotten after this.
FORGET_MS = 600_000


class Beat(msgspec.Struct, frozen=True):
    """One process: `name` is its role and slot, `ok` whether it does its work, `detail` why not.

    Names are unique on a host, not among hosts.
    """

    name: str
    pid: int
    host: str
    at_ms: int
    ok: bool
    detail: str = ""
    figures: Mapping[str, int] = {}


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Beat).decode


class Heartbeats:
    """The beats of all processes of a partition."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._key = f"{connection.prefix}:beats"

    async def beat(self, beat: Beat) -> None:
        """Note that a process lives."""
        await self._connection.command("HSET", self._key, _field(beat), _encode(beat))

    async def gone(self, beat: Beat) -> None:
        """Note that a process has ended as it should."""
        await self._connection.command("HDEL", self._key, _field(beat))

    async def all(self, now_ms: int) -> list[Beat]:
        """Return the last beat of every process, by name; forgets those that are long dead."""
        raw = await self._connection.command("HGETALL", self._key)
        beats = [_decode(value) for value in cast("dict[bytes, bytes]", raw).values()]
        dead = [each for each in beats if each.at_ms < now_ms - FORGET_MS]
        if dead:
            await self._connection.command("HDEL", self._key, *map(_field, dead))
        living = [each for each in beats if each not in dead]
        return sorted(living, key=lambda each: (each.name, each.host))


def _field(beat: Beat) -> str:
    return f"{beat.name}@{beat.host}"
