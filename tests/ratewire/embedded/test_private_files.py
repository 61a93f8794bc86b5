"""Private directories and records: complete or absent, and nothing trusted that we did not make."""

import os
from pathlib import Path

import pytest

from ratewire.embedded import private_files
from ratewire.embedded.errors import EmbeddedServersError
from ratewire.embedded.private_files import (
    claim_short_directory,
    create_directory,
    create_parents,
    create_short_directory,
    is_private_directory,
    open_private_file,
    read_record,
    require_private_directory,
    write_record,
)
from ratewire.embedded.server_user import ServerUser
from tests.ratewire.embedded.conftest import as_root

OURSELVES = ServerUser(os.geteuid(), os.getegid())


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o7777


def test_a_created_directory_has_its_mode_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        create_directory(tmp_path / "place", 0o711)
    finally:
        os.umask(before)
    assert mode(tmp_path / "place") == 0o711
    assert list(tmp_path.iterdir()) == [tmp_path / "place"]


def test_an_existing_directory_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "place").mkdir()
    (tmp_path / "place").chmod(0o750)
    (tmp_path / "place" / "file").touch()
    create_directory(tmp_path / "place", 0o700)
    assert mode(tmp_path / "place") == 0o750
    assert (tmp_path / "place" / "file").exists()


def test_a_file_in_the_way_is_an_error_and_nothing_is_left(tmp_path: Path) -> None:
    (tmp_path / "place").touch()
    with pytest.raises(NotADirectoryError):
        create_directory(tmp_path / "place", 0o700)
    assert list(tmp_path.iterdir()) == [tmp_path / "place"]


def test_missing_parents_are_created_and_others_left(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    create_parents(tmp_path / "a" / "b" / "c", 0o700)
    assert mode(tmp_path) == 0o755
    assert mode(tmp_path / "a") == 0o700
    assert mode(tmp_path / "a" / "b") == 0o700
    assert not (tmp_path / "a" / "b" / "c").exists()


def test_a_directory_open_to_others_is_refused(tmp_path: Path) -> None:
    require_private_directory(tmp_path / "data", OURSELVES)
    assert mode(tmp_path / "data") == 0o700
    (tmp_path / "data").chmod(0o755)
    with pytest.raises(EmbeddedServersError, match="has mode 0755; allowed: 0700"):
        require_private_directory(tmp_path / "data", OURSELVES)
    assert mode(tmp_path / "data") == 0o755, "it is refused, not changed"


def test_a_directory_of_somebody_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir(mode=0o700)
    somebody = ServerUser(OURSELVES.uid + 1, OURSELVES.gid)
    with pytest.raises(EmbeddedServersError, match=f"belongs to uid {OURSELVES.uid}"):
        require_private_directory(tmp_path / "data", somebody)


@as_root
def test_a_directory_for_another_user_is_that_users(tmp_path: Path) -> None:
    require_private_directory(tmp_path / "data", ServerUser(12345, 54321))
    status = (tmp_path / "data").stat()
    assert (status.st_uid, status.st_gid, mode(tmp_path / "data")) == (12345, 54321, 0o700)


def test_a_private_directory_is_real_ours_and_closed(tmp_path: Path) -> None:
    """Each lie that somebody could prepare in /tmp is seen through."""
    (tmp_path / "private").mkdir(mode=0o700)
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o701)
    (tmp_path / "link").symlink_to(tmp_path / "private")
    (tmp_path / "file").touch(mode=0o700)
    assert is_private_directory(tmp_path / "private", OURSELVES)
    assert not is_private_directory(tmp_path / "private", ServerUser(OURSELVES.uid + 1, 0))
    for name in ("open", "link", "file", "none"):
        assert not is_private_directory(tmp_path / name, OURSELVES), name


def test_a_short_directory_is_short_and_private() -> None:
    path = create_short_directory(OURSELVES)
    try:
        assert len(str(path)) < 30
        assert is_private_directory(path, OURSELVES)
    finally:
        path.rmdir()


def test_a_short_directory_that_was_cleared_away_is_made_again(tmp_path: Path) -> None:
    """Under its name: URLs that hold it stay valid."""
    assert claim_short_directory(tmp_path / "short", OURSELVES)
    assert is_private_directory(tmp_path / "short", OURSELVES)
    assert claim_short_directory(tmp_path / "short", OURSELVES)
    (tmp_path / "short").chmod(0o777)
    assert not claim_short_directory(tmp_path / "short", OURSELVES)
    assert not claim_short_directory(tmp_path / "none" / "short", OURSELVES)


def test_a_record_is_one_line_that_is_replaced_as_a_whole(tmp_path: Path) -> None:
    record = tmp_path / "run-path"
    assert read_record(record) is None
    write_record(record, "/a/path with\u00e4")
    write_record(record, os.fsdecode(b"/not/utf-8/\xff"))
    assert read_record(record) == os.fsdecode(b"/not/utf-8/\xff")
    assert mode(record) == 0o600
    assert list(tmp_path.iterdir()) == [record]


def test_an_empty_record_is_none(tmp_path: Path) -> None:
    (tmp_path / "run-path").touch()
    assert read_record(tmp_path / "run-path") is None


def test_a_record_that_is_a_link_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "run-path").symlink_to("/etc/passwd")
    with pytest.raises(OSError, match="symbolic links"):
        read_record(tmp_path / "run-path")


@as_root
def test_a_file_of_root_in_a_users_directory_is_that_users(tmp_path: Path) -> None:
    """After root has once worked in a user's clone, the user can go on."""
    require_private_directory(tmp_path / "users", ServerUser(12345, 54321))
    os.close(open_private_file(tmp_path / "users" / "lock", os.O_RDWR))
    assert (tmp_path / "users" / "lock").stat().st_uid == 12345


def test_being_killed_half_way_leaves_no_directory_under_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last step is the rename; whatever stops us before it leaves the name free."""

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(private_files.Path, "chmod", die)
    with pytest.raises(KeyboardInterrupt):
        create_directory(tmp_path / "data", 0o700)
    assert not (tmp_path / "data").exists()
