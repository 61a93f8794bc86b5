"""A road to a server's Unix socket that can be closed: a server is away, without being stopped."""

import asyncio
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit, urlunsplit


class Gate:
    """Listens at `near` and passes on to `far`, while it is open."""

    def __init__(self, near: Path, far: Path) -> None:
        self._near = near
        self._far = far
        self._server: asyncio.Server | None = None
        self._passing: set[asyncio.Task[None]] = set()

    @classmethod
    def to_database(cls, directory: Path, url: str) -> tuple["Gate", str]:
        """A gate in `directory` to the database at `url`, still closed, and the URL through it."""
        parts = urlsplit(url)
        [far] = parse_qs(parts.query)["host"]
        name = ".s.PGSQL.5432"
        through = urlunsplit(parts._replace(query=urlencode({"host": str(directory)})))
        return cls(directory / name, Path(far) / name), through

    async def open(self) -> None:
        """Let through from now on."""
        self._server = await asyncio.start_unix_server(self._connected, self._near)

    async def close(self) -> None:
        """Refuse whoever comes, and drop who is through."""
        if self._server is None:
            return
        self._server.close()
        self._near.unlink(missing_ok=True)
        self._server = None
        for task in self._passing:
            task.cancel()
        await asyncio.gather(*self._passing, return_exceptions=True)

    async def _connected(self, near: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        far, forth = await asyncio.open_unix_connection(self._far)
        ways = [
            asyncio.create_task(_pass_on(near, forth)),
            asyncio.create_task(_pass_on(far, back)),
        ]
        self._passing |= set(ways)
        try:
            await asyncio.gather(*ways, return_exceptions=True)
        finally:
            self._passing -= set(ways)
            for way in (forth, back):
                way.transport.abort()


async def _pass_on(source: asyncio.StreamReader, to: asyncio.StreamWriter) -> None:
    while octets := await source.read(65536):
        to.write(octets)
        await to.drain()
    to.close()
