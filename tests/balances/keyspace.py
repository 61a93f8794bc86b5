"""Everything that a server holds, as something to compare."""

from typing import Any

from balances.connection import Connection

_READ: dict[bytes, tuple[str, ...]] = {
    b"string": ("GET",),
    b"hash": ("HGETALL",),
    b"set": ("SMEMBERS",),
    b"zset": ("ZRANGE", "0", "-1", "WITHSCORES"),
    b"stream": ("XRANGE", "-", "+"),
}


async def keyspace(connection: Connection) -> dict[bytes, tuple[Any, bool]]:
    """Every key with its value, and whether it is going to expire."""
    held: dict[bytes, tuple[Any, bool]] = {}
    for key in sorted(await connection.command("KEYS", "*")):
        kind = await connection.command("TYPE", key)
        read, *arguments = _READ[kind]
        value = await connection.command(read, key, *arguments)
        if kind == b"set":
            value = sorted(value)
        held[key] = (value, await connection.command("PTTL", key) >= 0)
    return held
