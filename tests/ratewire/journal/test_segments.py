"""The files of the journal: durable before anything is answered, bounded, whole after any fault."""

import errno
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ratewire.journal import segments as module
from ratewire.journal.frames import Entry, encode
from ratewire.journal.segments import DAMAGED, JournalFull, Segments

MB = 1024 * 1024


def entry(number: int, size: int = 200) -> Entry:
    return Entry(1_700_000_000_000 + number, "192.0.2.1", 1, "pop", False, 1, bytes(size))


def opened(directory: Path, max_octets: int = MB) -> Segments:
    return Segments(directory, max_octets=max_octets, now_ms=lambda: 1_700_000_000_000)


def drained(journal: Segments) -> Iterator[int]:
    """The numbers of all records, file by file, which are removed."""
    while (found := journal.oldest()) is not None:
        segment, scan = found
        assert not scan.damages
        yield from (each.arrived_ms - 1_700_000_000_000 for each in scan.entries)
        journal.remove(segment, damaged=False)


def test_what_is_appended_comes_back_in_order_and_is_gone_then(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    journal.append([entry(0), entry(1)])
    journal.turn_over()
    journal.append([entry(2)])
    assert (len(journal), journal.records, journal.oldest_ms) == (2, 3, entry(0).arrived_ms)
    assert journal.octets == sum(path.stat().st_size for path in tmp_path.iterdir())
    assert list(drained(journal)) == [0, 1, 2]
    assert (len(journal), journal.records, journal.octets, journal.oldest_ms) == (0, 0, 0, None)
    assert list(tmp_path.iterdir()) == []


def test_files_are_private_and_follow_one_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SEGMENT_OCTETS", 1000)
    journal = opened(tmp_path)
    for number in range(40):
        journal.append([entry(number)])
    assert len(journal) == 8
    for path in tmp_path.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(drained(opened(tmp_path))) == list(range(40))


def test_another_process_goes_on_behind_what_is_there(tmp_path: Path) -> None:
    opened(tmp_path).append([entry(0)])
    second = opened(tmp_path)
    assert (second.records, second.oldest_ms) == (1, entry(0).arrived_ms)
    second.append([entry(1)])
    assert len(list(tmp_path.iterdir())) == 2, "nothing is appended to what was there"
    assert list(drained(opened(tmp_path))) == [0, 1]


class Kernel:
    """What is asked of the disk, in order; it can refuse."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls: list[str] = []
        self.failing: dict[str, OSError] = {}
        self.most = 1 << 30
        self._really = {name: getattr(os, name) for name in ("write", "fdatasync", "fsync")}
        monkeypatch.setattr(os, "write", self._write)
        for name in ("fdatasync", "fsync"):
            monkeypatch.setattr(os, name, self._calling(name))

    def _write(self, descriptor: int, octets: bytes | memoryview) -> int:
        self.calls.append("write")
        written: int = self._really["write"](descriptor, bytes(octets)[: self.most])
        if "write" in self.failing:
            raise self.failing["write"]
        return written

    def _calling(self, name: str) -> Callable[[int], None]:
        def call(descriptor: int) -> None:
            self.calls.append(name)
            if name in self.failing:
                raise self.failing[name]
            self._really[name](descriptor)

        return call


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Kernel:
    return Kernel(monkeypatch)


def test_a_batch_is_one_write_and_one_sync_and_a_new_file_syncs_its_directory(
    tmp_path: Path, kernel: Kernel
) -> None:
    journal = opened(tmp_path)
    journal.append([entry(n) for n in range(100)])
    assert kernel.calls == ["fsync", "write", "fdatasync"]
    journal.append([entry(n) for n in range(100)])
    assert kernel.calls[3:] == ["write", "fdatasync"]


def test_what_the_kernel_takes_in_pieces_is_written_whole(tmp_path: Path, kernel: Kernel) -> None:
    kernel.most = 7
    opened(tmp_path).append([entry(0), entry(1)])
    assert kernel.calls.count("fdatasync") == 1
    assert list(drained(opened(tmp_path))) == [0, 1]


@pytest.mark.parametrize("call", ["write", "fdatasync", "fsync"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
def test_a_batch_that_cannot_be_made_durable_is_not_there(
    tmp_path: Path, kernel: Kernel, call: str, code: int
) -> None:
    """A write that breaks off half-way, a sync that fails, a directory that cannot be synced."""
    journal = opened(tmp_path)
    journal.append([entry(0)])
    if call == "fsync":
        journal.turn_over()
    kernel.failing[call] = OSError(code, os.strerror(code))
    kernel.most = 100
    with pytest.raises(OSError, match=os.strerror(code)):
        journal.append([entry(1)])
    assert journal.records == 1
    kernel.failing.clear()
    kernel.most = 1 << 30
    journal.append([entry(2)])
    assert len(journal) == 2, "what failed once is not written to again"
    assert list(drained(opened(tmp_path))) == [0, 2]


@pytest.mark.parametrize("call", ["write", "fdatasync", "fsync"])
def test_a_disk_that_stays_full_is_not_littered(tmp_path: Path, kernel: Kernel, call: str) -> None:
    journal = opened(tmp_path)
    kernel.failing[call] = OSError(errno.ENOSPC, "No space left on device")
    for number in range(3):
        with pytest.raises(OSError, match="No space left"):
            journal.append([entry(number)])
    assert (len(journal), list(tmp_path.iterdir())) == (0, [])


def test_it_is_bounded_and_takes_more_once_there_is_room(tmp_path: Path) -> None:
    size = len(encode(entry(0), 0))
    journal = opened(tmp_path, 3 * size)
    journal.append([entry(0), entry(1)])
    with pytest.raises(JournalFull):
        journal.append([entry(2), entry(3)])
    journal.append([entry(4)])
    with pytest.raises(JournalFull):
        journal.append([entry(5)])
    assert list(drained(journal)) == [0, 1, 4]
    journal.append([entry(6)])
    assert list(drained(opened(tmp_path))) == [6]


def test_what_is_damaged_is_kept_and_not_read_again(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    journal.append([entry(0), entry(1), entry(2)])
    [path] = tmp_path.iterdir()
    octets = bytearray(path.read_bytes())
    octets[len(octets) // 2] ^= 4
    path.write_bytes(octets)
    found = journal.oldest()
    assert found is not None
    segment, scan = found
    assert [each.arrived_ms for each in scan.entries] == [
        each.arrived_ms for each in (entry(0), entry(2))
    ]
    journal.remove(segment, damaged=bool(scan.damages))
    assert journal.oldest() is None
    assert [each.name for each in tmp_path.iterdir()] == [path.name + DAMAGED]
    assert opened(tmp_path).oldest() is None
