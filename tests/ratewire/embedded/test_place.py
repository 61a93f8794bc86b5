"""Where the servers live: found again by every run, and never by loosening what is not ours."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from ratewire.embedded.errors import EmbeddedServersError
from ratewire.embedded.place import (
    SOCKET_PATH_OCTETS,
    Place,
    claim_place,
    find_place,
    suits_a_socket,
)
from ratewire.embedded.private_files import is_private_directory, require_private_directory
from ratewire.embedded.programs import Programs
from tests.ratewire.embedded.conftest import as_root


def modes(directory: Path) -> dict[Path, tuple[int, int, int]]:
    """Mode and owner of a directory and all above it."""
    return {
        path: (path.stat().st_mode, path.stat().st_uid, path.stat().st_gid)
        for path in [directory, *directory.parents]
    }


def closed_home(home: Path) -> Path:
    """Like a home directory: 0700, with a clone in it."""
    clone = home / "root" / "clone"
    clone.mkdir(parents=True)
    (home / "root").chmod(0o700)
    clone.chmod(0o755)
    return clone


def test_the_place_is_the_data_directory(home: Path) -> None:
    place = claim_place(home / "srv" / "var")
    assert place.root == place.data_dir == home / "srv" / "var"
    assert place.user.uid != 0
    assert place.user.can_enter(place.root)
    assert claim_place(home / "srv" / "var") == place


def test_directories_we_create_are_closed_and_others_are_left(home: Path) -> None:
    before = modes(home)
    place = claim_place(home / "srv" / "var")
    # Root's must let the servers' user through; nobody can list or read them.
    expected = 0o711 if os.geteuid() == 0 else 0o700
    assert (home / "srv").stat().st_mode & 0o7777 == expected
    assert place.root.stat().st_mode & 0o7777 == expected
    assert modes(home) == before


def test_an_existing_data_directory_keeps_its_mode(home: Path) -> None:
    (home / "var").mkdir()
    (home / "var").chmod(0o755)
    before = modes(home / "var")
    claim_place(home / "var")
    assert modes(home / "var") == before


def test_nothing_is_found_and_nothing_created_before_the_first_use(home: Path) -> None:
    assert find_place(home / "var") is None
    (home / "var").mkdir()
    assert find_place(home / "var") is None
    assert list((home / "var").iterdir()) == []


def test_a_place_is_found_again_under_another_name_of_its_directory(home: Path) -> None:
    place = claim_place(home / "var")
    require_private_directory(place.valkey_data, place.user)
    (home / "link").symlink_to(home / "var")
    assert find_place(home / "link") == place
    assert claim_place(home / "link") == place


@pytest.mark.parametrize("below", ["", "data"])
def test_a_file_in_the_way_is_an_error_that_names_it(home: Path, below: str) -> None:
    (home / "var").touch()
    with pytest.raises(EmbeddedServersError, match=f"{home}/var is a file"):
        claim_place(home / "var" / below)
    assert [path.name for path in home.iterdir()] == ["var"]


@as_root
@pytest.mark.parametrize("exists", [True, False])
def test_a_read_only_file_system_is_named(home: Path, *, exists: bool) -> None:
    mounted = home / "mounted"
    mounted.mkdir()
    said = read_only(mounted, mounted if exists else mounted / "var")
    assert "read-only" in said.lower()
    assert str(mounted) in said
    assert "run as" not in said
    assert "/." not in said, "nothing of ours that nobody asked for"


def read_only(mounted: Path, data_dir: Path) -> str:
    """What is said of a data directory on a read-only mount, in a mount namespace of its own."""
    program = (
        "import sys; from pathlib import Path\n"
        "from ratewire.embedded.place import claim_place\n"
        "try: claim_place(Path(sys.argv[1]))\n"
        "except Exception as error: print(type(error).__name__, error)\n"
    )
    script = 'mount -t tmpfs -o ro none "$1" && shift && exec "$@"'
    command = ["unshare", "--mount", "/bin/sh", "-c", script, "sh", str(mounted)]
    command += [sys.executable, "-c", program, str(data_dir)]
    repository = Path(__file__).parents[3]
    done = subprocess.run(command, cwd=repository, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"this root may not mount: {done.stderr}")
    assert done.stdout.startswith("EmbeddedServersError"), done.stdout
    return done.stdout


@as_root
def test_behind_a_closed_home_the_place_is_in_the_system_directory(home: Path) -> None:
    clone = closed_home(home)
    before = modes(clone)
    place = claim_place(clone / "var", home / "system")
    assert place.root.parent == home / "system"
    assert place.user.can_enter(place.root)
    assert (clone / "var" / "embedded-path").read_text() == f"{place.root}\n"
    assert modes(clone) == before
    assert claim_place(clone / "var", home / "system") == place
    assert find_place(clone / "var") == place


@as_root
def test_two_closed_clones_have_two_places(home: Path) -> None:
    clone = closed_home(home)
    one = claim_place(clone / "var", home / "system")
    other = claim_place(clone / "var2", home / "system")
    assert one.root != other.root


@as_root
def test_the_recorded_place_counts_even_when_the_home_opens_later(home: Path) -> None:
    """Else a `chmod` would seem to empty the books."""
    clone = closed_home(home)
    place = claim_place(clone / "var", home / "system")
    (home / "root").chmod(0o755)
    assert claim_place(clone / "var", home / "system") == place


@as_root
def test_a_clone_that_moves_takes_its_place_along(home: Path) -> None:
    clone = closed_home(home)
    place = claim_place(clone / "var", home / "system")
    clone.rename(home / "root" / "elsewhere")
    moved = claim_place(home / "root" / "elsewhere" / "var", home / "system")
    assert moved.root == place.root


@as_root
def test_data_that_became_unreachable_are_not_replaced_by_new_ones(home: Path) -> None:
    clone = closed_home(home)
    (home / "root").chmod(0o711)
    place = claim_place(clone / "var", home / "system")
    require_private_directory(place.postgres_data, place.user)
    (place.postgres_data / "PG_VERSION").touch()
    (home / "root").chmod(0o700)
    with pytest.raises(EmbeddedServersError, match=f"{home}/root has been closed"):
        claim_place(clone / "var", home / "system")
    assert not (home / "system").exists()


@as_root
def test_a_recorded_place_that_is_gone_is_not_begun_anew(home: Path) -> None:
    """Empty books would look like a working system."""
    clone = closed_home(home)
    place = claim_place(clone / "var", home / "system")
    shutil.rmtree(place.root)
    for look in (claim_place, find_place):
        with pytest.raises(EmbeddedServersError, match="bring it back, or remove"):
            look(clone / "var")


@as_root
@pytest.mark.parametrize("who", ["another owner", "writable by others"])
def test_a_recorded_place_that_others_could_change_is_refused(home: Path, who: str) -> None:
    """Root would run programs from it."""
    clone = closed_home(home)
    place = claim_place(clone / "var", home / "system")
    if who == "another owner":
        os.chown(place.root, 12345, 12345)
    else:
        place.root.chmod(0o777)
    with pytest.raises(EmbeddedServersError, match="nobody else may write"):
        claim_place(clone / "var", home / "system")


@as_root
def test_without_any_reachable_directory_root_is_told_so(home: Path) -> None:
    clone = closed_home(home)
    with pytest.raises(EmbeddedServersError, match=f"neither .*{home}/root is closed"):
        claim_place(clone / "var", home / "root" / "system")


def test_what_suits_a_socket() -> None:
    assert suits_a_socket(Path("/srv/ratewire/var/run"))
    for odd in ("/srv/a b", "/srv/a,b", "/srv/\u00e4", "/srv/a#b", "/srv/a%b", "/srv/a?b"):
        assert not suits_a_socket(Path(odd)), odd
    longest = SOCKET_PATH_OCTETS - len("/.s.PGSQL.5432")
    assert suits_a_socket(Path("/" + "x" * (longest - 1)))
    assert not suits_a_socket(Path("/" + "x" * longest))


def test_sockets_are_in_a_private_directory_of_the_place(place: Place) -> None:
    assert place.prepare_run_directory() == place.run_directory() == place.root / "run"
    assert is_private_directory(place.root / "run", place.user)


@pytest.fixture
def long_place(home: Path) -> Place:
    """A place whose path is too long for sockets."""
    return claim_place(home / ("x" * 100) / "var")


def test_a_long_path_gets_a_short_directory_once(long_place: Place) -> None:
    short = long_place.prepare_run_directory()
    try:
        assert suits_a_socket(short)
        assert is_private_directory(short, long_place.user)
        assert long_place.prepare_run_directory() == long_place.run_directory() == short
    finally:
        short.rmdir()


def test_a_short_directory_that_was_cleared_away_is_made_again(long_place: Place) -> None:
    """/tmp is emptied at boot."""
    short = long_place.prepare_run_directory()
    short.rmdir()
    assert long_place.prepare_run_directory() == short
    assert is_private_directory(short, long_place.user)
    short.rmdir()


def test_a_short_directory_that_others_could_have_made_is_not_used(long_place: Place) -> None:
    """Whoever puts a directory of that name into /tmp gets no server to talk to."""
    recorded = long_place.prepare_run_directory()
    recorded.chmod(0o777)
    other = long_place.prepare_run_directory()
    try:
        assert other != recorded
        assert recorded.stat().st_mode & 0o777 == 0o777, "it is left alone"
        assert long_place.run_directory() == other
    finally:
        recorded.rmdir()
        other.rmdir()


def test_programs_that_can_be_used_are_not_copied(place: Place, programs: Programs) -> None:
    assert place.prepare_programs(programs) == programs
    assert not place.programs_directory.exists()


@as_root
def test_programs_in_a_closed_home_are_copied(place: Place, home: Path, programs: Programs) -> None:
    closed = closed_programs(home, programs)
    copied = place.prepare_programs(closed)
    assert copied.valkey_server.is_relative_to(place.root)
    assert copied.usable_by(place.user)
    assert place.prepare_programs(closed) == copied


@as_root
def test_programs_that_work_nowhere_are_an_error(
    place: Place, home: Path, programs: Programs
) -> None:
    closed = closed_programs(home, programs)
    closed.initdb.write_text("#!/bin/sh\nexit 1\n")
    with pytest.raises(EmbeddedServersError, match="noexec"):
        place.prepare_programs(closed)


def closed_programs(home: Path, programs: Programs) -> Programs:
    """The wheels' programs as they are installed in a clone below a 0700 home."""
    closed = programs.copy_below(closed_home(home) / "wheels")
    assert not closed.usable_by(claim_place(home / "var").user)
    return msgspec.structs.replace(closed, version="test")


def test_programs_where_no_shell_command_can_name_them_are_refused(
    place: Place, home: Path, programs: Programs
) -> None:
    """initdb runs `"PATH/postgres" -V` by a shell, which would expand the $ of the path."""
    odd = home / "100% $HOME"
    copied = msgspec.structs.replace(programs, postgres_home=odd / "pginstall")
    with pytest.raises(EmbeddedServersError, match=r"cannot run programs in .*100% \$HOME"):
        Place(data_dir=odd, root=odd, user=place.user).prepare_programs(copied)
