"""A table's rows in a file: written and read as they come, however many there are."""

import hashlib
import os
import zlib
from collections.abc import AsyncIterator
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from billing.backup.manifest import create

_GZIP: Final = 31  # zlib's number for the form that zcat reads
_FASTEST: Final = 1
_CHUNK: Final = 1 << 18


class RowsFile:
    """A new file that takes what COPY gives; durable once the block has ended."""

    def __init__(self, path: Path) -> None:
        self._file = create(path)
        self._packer = zlib.compressobj(_FASTEST, zlib.DEFLATED, _GZIP)
        self._digest = hashlib.sha256()
        self.octets = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with self._file:
            if kind is None:
                self._put(self._packer.flush())
                self._file.flush()
                os.fsync(self._file.fileno())

    @property
    def sha256(self) -> str:
        """Of all that was written."""
        return self._digest.hexdigest()

    async def write(self, rows: bytes) -> None:
        """Take some more rows, or parts of them."""
        self._put(self._packer.compress(rows))

    def _put(self, octets: bytes) -> None:
        self._file.write(octets)
        self._digest.update(octets)
        self.octets += len(octets)


async def read_rows(path: Path) -> AsyncIterator[bytes]:
    """Yield what COPY takes."""
    unpacker = zlib.decompressobj(_GZIP)
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            while chunk:
                # Bounded, too, where a little stands for much.
                rows = unpacker.decompress(chunk, 4 * _CHUNK)
                chunk = unpacker.unconsumed_tail
                if rows:
                    yield rows
    if rows := unpacker.flush():
        yield rows
