"""What each running process says of itself, kept in the store, and how full the store is."""

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


#: What is left when it counts as full: the bound divided by this.
_AS_GOOD_AS_FULL = 64


class Memory(msgspec.Struct, frozen=True):
    """What the store uses of its bound, in octets; `bound` 0: it has none."""

    used: int
    bound: int

    @property
    def full(self) -> bool:
        """Whether it takes nothing more, neither records nor heartbeats, or is about to.

        At the bound its use goes up and down a little with every client and every call.
        """
        return self.bound - self.bound // _AS_GOOD_AS_FULL < self.used and self.bound > 0


async def memory(connection: Connection) -> Memory:
    """Return how full the store is. Raises StoreError."""
    info: bytes = await connection.command("INFO", "memory")
    said = dict(line.split(":", 1) for line in info.decode().splitlines() if ":" in line)
    # What buffers of the log and of replicas hold is not counted.
    uncounted = int(said.get("mem_not_counted_for_evict", 0))
    return Memory(int(said["used_memory"]) - uncounted, int(said["maxmemory"]))


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
