"""One command to a Valkey on its Unix socket, for tests of what lies below its client library."""

import asyncio


async def valkey_command(store_url: str, *words: str) -> str:
    """The reply to one command as text; a bulk reply without its length, nil as nothing, an array
    as its words.

    An error comes back as its text, with the leading minus.
    """
    reader, writer = await asyncio.open_unix_connection(store_url.removeprefix("unix://"))
    try:
        writer.write(f"*{len(words)}\r\n".encode())
        for word in words:
            writer.write(f"${len(word.encode())}\r\n{word}\r\n".encode())
        return await _read_reply(reader)
    finally:
        writer.close()
        await writer.wait_closed()


async def _read_reply(reader: asyncio.StreamReader) -> str:
    line = (await reader.readuntil(b"\r\n")).decode().removesuffix("\r\n")
    kind, rest = line[:1], line[1:]
    if line == "$-1":
        return ""
    if kind == "$":
        return (await reader.readexactly(int(rest) + 2)).decode()[:-2]
    if kind == "*":
        return " ".join([await _read_reply(reader) for _ in range(int(rest))])
    return line if kind == "-" else rest
