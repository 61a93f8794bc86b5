"""A backup's directory: its files, and the manifest that says what they must be.

    manifest.json          what is in it, of which moment, the size and SHA-256 of every other file
    manifest.json.sha256   as `sha256sum` writes it
    TABLE.copy.gz          a table's rows as COPY writes them, in text, compressed

It appears under its name complete, or not at all.
"""

import contextlib
import hashlib
import os
import shutil
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from balances.messages import Position

#: Of the directory: its files, and the fields of its manifest.
FORMAT: Final = 1

MANIFEST: Final = "manifest.json"
_SUM: Final = f"{MANIFEST}.sha256"
_CHUNK: Final = 1 << 20


class BackupError(Exception):
    """A backup cannot be made, used or restored; the message says why, and what is allowed."""


class TableFile(msgspec.Struct, frozen=True):
    """A table in a backup: its rows, in these columns, in a file of so many octets."""

    table: str
    columns: list[str]
    rows: int
    octets: int
    sha256: str

    @property
    def file(self) -> str:
        """The name of its file."""
        return f"{self.table}.copy.gz"


class Manifest(msgspec.Struct, frozen=True):
    """What a backup holds.

    `position` is the last stream entry that it has settled; what was acknowledged before `began_at`
    is in it. `tables` are in an order in which they can be loaded. `sequences` are the last values
    that were given out, `months` those that have partitions, `boots` the marks that only the store
    holds, `keys` the ids of the keys that its secrets are sealed with.
    """

    format: int
    backup: str
    ratewire: str
    postgres: str
    schema: str
    began_at: datetime
    settled_at: datetime
    position: Position
    tables: list[TableFile]
    sequences: dict[str, int]
    months: list[str]
    boots: dict[str, int]
    keys: list[str]


class _Format(msgspec.Struct):
    format: int


@contextmanager
def new_directory(path: Path) -> Generator[Path]:
    """Give a private directory to write a backup in; it is `path` once the block has ended well.

    Its files must be synchronised by whoever writes them. Raises BackupError if there is something
    at `path`, or it cannot be written; then nothing is left of it.
    """
    path = path.absolute()
    if path.exists() or path.is_symlink():
        raise BackupError(f"{path} exists; allowed is a name for a new directory")
    try:
        unfinished = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.unfinished-"))
    except OSError as error:
        raise BackupError(f"{path.parent}: {error.strerror}") from error
    try:
        yield unfinished
        _sync(unfinished)
        unfinished.rename(path)
        _sync(path.parent)
    except OSError as error:
        raise BackupError(f"{path} cannot be written: {error.strerror or error}") from error
    finally:
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(unfinished)


def write(directory: Path, manifest: Manifest) -> None:
    """Write the manifest of a directory whose other files are there."""
    text = msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n"
    _write_file(directory / MANIFEST, text)
    _write_file(directory / _SUM, f"{hashlib.sha256(text).hexdigest()}  {MANIFEST}\n".encode())


def create(path: Path) -> BinaryIO:
    """Open a new file that only its owner may read."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")


def _write_file(path: Path, octets: bytes) -> None:
    with create(path) as file:
        file.write(octets)
        file.flush()
        os.fsync(file.fileno())


def read(directory: Path) -> Manifest:
    """Return what a backup holds, once every file of it is proven whole.

    Raises BackupError, which names every file that is not.
    """
    manifest = _read_manifest(directory)
    faults = [
        f"{table.file}: {fault}"
        for table in manifest.tables
        if (fault := _fault(directory / table.file, table)) is not None
    ]
    if faults:
        raise BackupError(f"{directory} is damaged: {'; '.join(faults)}")
    return manifest


def _read_manifest(directory: Path) -> Manifest:
    try:
        text = (directory / MANIFEST).read_bytes()
        told = (directory / _SUM).read_text(encoding="ascii", errors="replace")
    except OSError as error:
        raise BackupError(
            f"{directory} is no backup: {error.filename}: {error.strerror}"
        ) from error
    if told.split()[:1] != [hashlib.sha256(text).hexdigest()]:
        raise BackupError(f"{directory} is damaged: {MANIFEST}: not as {_SUM} says")
    try:
        written = msgspec.json.decode(text, type=_Format).format
        if written != FORMAT:
            raise BackupError(f"{directory} is of format {written}; allowed is {FORMAT}")
        return msgspec.json.decode(text, type=Manifest)
    except msgspec.DecodeError as error:
        raise BackupError(f"{directory} is damaged: {MANIFEST}: {error}") from error


def _fault(path: Path, table: TableFile) -> str | None:
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            octets = os.fstat(file.fileno()).st_size
            if octets != table.octets:
                return f"{octets} octets, written were {table.octets}"
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
    except OSError as error:
        return error.strerror or str(error)
    return None if digest.hexdigest() == table.sha256 else "its SHA-256 is another one"


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
