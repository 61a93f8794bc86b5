"""A small disk for one server's data, which can be full for a while."""

import os
import shutil
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

#: Room for what a run writes: the load's log of a minute, and Postgres's WAL until its checkpoint.
SIZE_MB = 1024

_CHUNK = bytes(1 << 20)


class NoDisk(Exception):
    """A disk cannot be mounted here; the message says why."""


class SmallDisk:
    """A tmpfs in the place of a directory, with what was in it."""

    def __init__(self, directory: Path) -> None:
        self._filler = directory / "filler"

    @contextmanager
    def full(self) -> Generator[None]:
        """Not an octet is left meanwhile; at the end, what there was before."""
        with self._filler.open("wb", buffering=0) as file:
            try:
                while file.write(_CHUNK):
                    pass
            except OSError:
                os.fsync(file.fileno())
        try:
            yield
        finally:
            self._filler.unlink()


@contextmanager
def small_disk(directory: Path) -> Generator[SmallDisk]:
    """Move a directory that nobody uses now to a small disk of its own. Raises NoDisk."""
    if os.geteuid() != 0:
        raise NoDisk("only root mounts a disk of a size")
    found = directory.stat()
    aside = directory.with_name(f"{directory.name}.before")
    directory.rename(aside)
    directory.mkdir()
    options = f"size={SIZE_MB}m,mode=0700,uid={found.st_uid},gid={found.st_gid}"
    mount = ["mount", "-t", "tmpfs", "-o", options, "ratewire-faults", str(directory)]
    mounted = subprocess.run(mount, capture_output=True, text=True, check=False)
    if mounted.returncode != 0:
        directory.rmdir()
        aside.rename(directory)
        raise NoDisk(f"a disk cannot be mounted here: {mounted.stderr.strip()}")
    try:
        subprocess.run(["cp", "-a", f"{aside}/.", str(directory)], check=True)
        shutil.rmtree(aside)
        yield SmallDisk(directory)
    finally:
        # Whatever still holds a file there keeps the disk until it lets go.
        subprocess.run(["umount", "--lazy", str(directory)], check=True)
