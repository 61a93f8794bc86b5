"""Each directory of the journal belongs to one process; what nobody has is found by the others."""

import stat
from pathlib import Path

import pytest

from ratewire.journal.slots import Slot, abandoned, claim, is_empty, standing
from tests.ratewire.journal.test_segments import entry

MB = 1024 * 1024
OPENED_MS = 1_700_000_000_000


def claimed(root: Path, number: int = 0) -> Slot:
    return claim(root, number, max_octets=MB, now_ms=lambda: OPENED_MS)


def found(root: Path) -> list[Slot]:
    return list(abandoned(root, max_octets=MB, now_ms=lambda: OPENED_MS))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Not even the data directory is there."""
    return tmp_path / "var" / "journal"


def test_two_processes_never_have_one_directory(root: Path) -> None:
    first, second, other = claimed(root), claimed(root), claimed(root, 1)
    assert [each.directory.name for each in (first, second, other)] == ["0", "256", "1"]
    first.close()
    assert claimed(root).directory.name == "0"


def test_what_is_made_is_private(root: Path) -> None:
    claimed(root)
    for path in (root.parent, root, root / "0", root / "0" / "aside"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
    assert stat.S_IMODE((root / "0" / "lock").stat().st_mode) == 0o600


def test_what_a_process_has_left_is_found_when_it_is_no_more_and_by_one_only(root: Path) -> None:
    ours, theirs, empty = claimed(root), claimed(root, 1), claimed(root, 2)
    ours.waiting.append([entry(0)])
    theirs.waiting.append([entry(1), entry(2)])
    (root / "clients").write_bytes(b"no directory")
    assert found(root) == []
    theirs.close()
    empty.close()
    [slot] = found(root)
    assert (slot.directory.name, slot.waiting.records) == ("1", 2)
    assert found(root) == []
    slot.close()
    [again] = found(root)
    again.close()


def test_what_was_set_aside_is_found_too(root: Path) -> None:
    assert is_empty(root)
    theirs = claimed(root, 1)
    assert is_empty(root)
    theirs.aside.append([entry(0)])
    assert not is_empty(root)
    theirs.close()
    [slot] = found(root)
    assert (slot.waiting.records, slot.aside.records) == (0, 1)


def test_anybody_may_see_what_waits(root: Path) -> None:
    assert standing(root) is None
    slots = [claimed(root, number) for number in range(2)]
    assert standing(root) is None
    for slot in slots:
        slot.waiting.append([entry(0)])
    slots[0].aside.append([entry(0)])
    seen = standing(root)
    assert seen is not None
    assert seen.octets == sum(slot.waiting.octets for slot in slots)
    assert str(seen) == f"journaling since 2023-11-14 22:13:20 UTC: {seen.octets} octets wait"
