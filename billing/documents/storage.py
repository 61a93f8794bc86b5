"""Where the octets of documents are kept: a port, and files as the default."""

import asyncio
import os
import secrets
from pathlib import Path
from typing import Protocol


class Missing(Exception):
    """What is to be there is not; the message says what."""


class Storage(Protocol):
    """Keeps octets under keys. A key is written once, and never changes."""

    async def put(self, key: str, octets: bytes) -> None:
        """Keep octets; durable when it returns. The same again changes nothing."""
        ...

    async def get(self, key: str) -> bytes:
        """Return what is kept under a key. Raises Missing."""
        ...


class FileStorage:
    """Keeps each document as a file below a directory, readable by its owner alone."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    async def put(self, key: str, octets: bytes) -> None:
        """Write a file, synced, under its own name only once it is whole."""
        await asyncio.to_thread(self._write, self._path(key), octets)

    async def get(self, key: str) -> bytes:
        """Read a file. Raises Missing."""
        try:
            return await asyncio.to_thread(self._path(key).read_bytes)
        except FileNotFoundError as error:
            raise Missing(f"{self._path(key)} is missing; restore it from a backup") from error

    def _path(self, key: str) -> Path:
        path = self._directory / key
        assert path.is_relative_to(self._directory), key
        assert ".." not in path.parts, key
        return path

    @staticmethod
    def _write(path: Path, octets: bytes) -> None:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        unfinished = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        handle = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(octets)
                file.flush()
                os.fsync(file.fileno())
            unfinished.rename(path)
        finally:
            unfinished.unlink(missing_ok=True)
        directory = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
