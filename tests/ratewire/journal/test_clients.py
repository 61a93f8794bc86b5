"""The NAS clients that are kept on disk for a start without the store."""

import stat
from pathlib import Path

import pytest

from ratewire.journal.clients import KeptClients

PUBLISHED = {"pop1": b"\x00sealed\xff", "pop-ü": b""}


def test_what_was_kept_last_is_there_for_the_next_process(tmp_path: Path) -> None:
    path = tmp_path / "clients"
    assert KeptClients(path).kept() is None
    kept = KeptClients(path)
    kept.keep({"old": b"1"})
    kept.keep(PUBLISHED)
    assert KeptClients(path).kept() == PUBLISHED
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_what_is_damaged_is_not_used(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "clients"
    KeptClients(path).keep(PUBLISHED)
    octets = path.read_bytes()
    for at in range(len(octets)):
        path.write_bytes(octets[:at] + bytes([octets[at] ^ 1]) + octets[at + 1 :])
        assert KeptClients(path).kept() is None
        path.write_bytes(octets[:at])
        assert KeptClients(path).kept() is None


def test_a_disk_that_does_not_take_it_is_no_fault(tmp_path: Path) -> None:
    kept = KeptClients(tmp_path / "nowhere" / "clients")
    kept.keep(PUBLISHED)
    assert kept.kept() is None
    (tmp_path / "directory").mkdir()
    assert KeptClients(tmp_path / "directory").kept() is None
