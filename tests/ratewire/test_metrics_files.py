"""The directory of the metrics: in use, left by the killed, and what only looks like it."""

import os
import subprocess
import sys
from pathlib import Path

from ratewire.metrics_files import MetricsDirectory


def test_it_is_private_and_removed(tmp_path: Path) -> None:
    made = MetricsDirectory(tmp_path)
    assert made.path.stat().st_mode & 0o777 == 0o700
    (made.path / "counter_7.db").write_bytes(b"x")
    made.remove()
    assert list(tmp_path.iterdir()) == []


def test_those_in_use_stay(tmp_path: Path) -> None:
    first, second = MetricsDirectory(tmp_path), MetricsDirectory(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted([first.path, second.path])
    first.remove()
    second.remove()


def test_what_was_left_goes_once_nobody_uses_it(tmp_path: Path) -> None:
    """A process that was given the lock uses it, whatever became of the one that made it."""
    made = MetricsDirectory(tmp_path)
    (made.path / "counter_7.db").write_bytes(b"x")
    reader, writer = os.pipe()
    heir = subprocess.Popen(["cat"], stdin=reader, pass_fds=(made.fileno(),))
    os.close(reader)
    os.close(made.fileno())  # as if it had been killed
    MetricsDirectory(tmp_path).remove()
    assert list(tmp_path.iterdir()) == [made.path]
    os.close(writer)
    assert heir.wait(10) == 0
    MetricsDirectory(tmp_path).remove()
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_such_directory_is_left_alone(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "file").touch()
    (tmp_path / "ratewire-metrics-link").symlink_to(elsewhere)
    (tmp_path / "ratewire-metrics-file").touch()
    MetricsDirectory(tmp_path).remove()
    assert len(list(tmp_path.iterdir())) == 3
    assert (elsewhere / "file").exists()


def test_any_number_may_start_at_once(tmp_path: Path) -> None:
    script = (
        "import pathlib, sys; from ratewire.metrics_files import MetricsDirectory\n"
        "for _ in range(300):\n"
        "    made = MetricsDirectory(pathlib.Path(sys.argv[1]))\n"
        "    (made.path / 'counter').touch()\n"
        "    made.remove()\n"
    )
    racing = [subprocess.Popen([sys.executable, "-c", script, str(tmp_path)]) for _ in range(3)]
    assert [each.wait(30) for each in racing] == [0, 0, 0]
    assert list(tmp_path.iterdir()) == []
