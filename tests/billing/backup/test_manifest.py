"""The directory of a backup: whole or not there, and every damage named."""

import hashlib
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from balances.messages import Position
from billing.backup import manifest as manifests
from billing.backup.manifest import BackupError, Manifest, TableFile

NOW = datetime(2026, 3, 14, tzinfo=UTC)
ROWS = b"some rows"


def manifest(*tables: TableFile) -> Manifest:
    """A manifest of these tables."""
    return Manifest(
        format=1,
        backup="b1",
        ratewire="0.1.0",
        postgres="18.6",
        schema="0003",
        began_at=NOW,
        settled_at=NOW,
        position=Position(1, 7),
        tables=list(tables),
        sequences={"s": 3},
        months=["2026_03"],
        boots={"pop1": 1},
        keys=["ab"],
    )


@pytest.fixture
def backup(tmp_path: Path) -> Path:
    """A backup of two tables."""
    tables: list[TableFile] = []
    with manifests.new_directory(tmp_path / "backup") as directory:
        for name in ("accounts", "plans"):
            table = TableFile(name, ["a"], 1, len(ROWS), hashlib.sha256(ROWS).hexdigest())
            with manifests.create(directory / table.file) as file:
                file.write(ROWS)
            tables.append(table)
        manifests.write(directory, manifest(*tables))
    return tmp_path / "backup"


def test_what_was_written_is_read(backup: Path) -> None:
    read = manifests.read(backup)
    assert [table.file for table in read.tables] == ["accounts.copy.gz", "plans.copy.gz"]
    assert read == manifest(*read.tables)
    assert [path.name for path in backup.parent.iterdir()] == ["backup"]


def test_nobody_else_may_read_it(backup: Path) -> None:
    assert backup.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in backup.iterdir()} == {0o600}


def test_a_failure_leaves_nothing(tmp_path: Path) -> None:
    with (
        pytest.raises(ZeroDivisionError),
        manifests.new_directory(tmp_path / "backup") as directory,
        manifests.create(directory / "half"),
    ):
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "backup").mkdir()
    with pytest.raises(BackupError, match="exists"), manifests.new_directory(tmp_path / "backup"):
        raise AssertionError
    with (
        pytest.raises(BackupError, match="No such file"),
        manifests.new_directory(tmp_path / "nowhere" / "backup"),
    ):
        raise AssertionError


def test_a_disk_that_is_full_is_told_of_the_backup(tmp_path: Path) -> None:
    with (
        pytest.raises(BackupError, match=f"{tmp_path}/backup cannot be written: No space left"),
        manifests.new_directory(tmp_path / "backup"),
        Path("/dev/full").open("wb", buffering=0) as full,
    ):
        full.write(b"x")
    assert list(tmp_path.iterdir()) == []


def damage(path: Path, how: str) -> None:
    """Do something to a file."""
    octets = path.read_bytes()
    match how:
        case "gone":
            path.unlink()
        case "torn":
            path.write_bytes(octets[: len(octets) // 2])
        case "empty":
            path.write_bytes(b"")
        case _:
            at = len(octets) // 2
            path.write_bytes(octets[:at] + bytes([octets[at] ^ 1]) + octets[at + 1 :])


@pytest.mark.parametrize("how", ["gone", "torn", "empty", "flipped"])
def test_every_damaged_file_is_named(backup: Path, how: str) -> None:
    for name in ("accounts.copy.gz", "plans.copy.gz"):
        damage(backup / name, how)
    with pytest.raises(BackupError, match=r"damaged: accounts\.copy\.gz: .*; plans\.copy\.gz: "):
        manifests.read(backup)


@pytest.mark.parametrize("how", ["gone", "torn", "empty", "flipped"])
@pytest.mark.parametrize("name", ["manifest.json", "manifest.json.sha256"])
def test_a_damaged_manifest_is_named(backup: Path, name: str, how: str) -> None:
    damage(backup / name, how)
    with pytest.raises(BackupError, match=r"manifest\.json"):
        manifests.read(backup)


@pytest.mark.parametrize(
    ("change", "told"), [({"format": 2}, "of format 2; allowed is 1"), ({"tables": 5}, "tables")]
)
def test_a_manifest_of_another_kind_is_refused(
    backup: Path, change: dict[str, int], told: str
) -> None:
    written = msgspec.json.decode((backup / "manifest.json").read_bytes())
    text = msgspec.json.encode({**written, **change})
    (backup / "manifest.json").write_bytes(text)
    (backup / "manifest.json.sha256").write_text(hashlib.sha256(text).hexdigest())
    with pytest.raises(BackupError, match=told):
        manifests.read(backup)


def test_what_is_no_backup_is_called_so(tmp_path: Path) -> None:
    with pytest.raises(BackupError, match=r"is no backup: .*No such file"):
        manifests.read(tmp_path)
