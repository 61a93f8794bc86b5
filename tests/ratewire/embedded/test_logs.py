"""Log files: their end, and their bound."""

from pathlib import Path

from ratewire.embedded import logs


def test_the_tail_is_the_last_lines(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("".join(f"line {number}\n" for number in range(100)))
    assert logs.tail(path).splitlines() == [f"line {number}" for number in range(85, 100)]


def test_the_tail_of_one_endless_line_is_bounded(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("x" * 1_000_000)
    assert len(logs.tail(path)) == logs.TAIL_OCTETS


def test_no_file_has_no_tail_and_a_link_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "link").symlink_to(tmp_path / "secret")
    assert logs.tail(tmp_path / "none") == ""
    assert logs.tail(tmp_path / "link") == ""


def test_a_log_is_put_aside_once_it_reaches_the_bound(tmp_path: Path) -> None:
    path = tmp_path / "valkey.log"
    logs.rotate(path, 10)
    path.write_text("123456789")
    logs.rotate(path, 10)
    assert path.exists()
    for content in ("first, long enough", "second, long enough"):
        path.write_text(content)
        logs.rotate(path, 10)
        assert not path.exists()
        assert (tmp_path / "valkey.log.1").read_text() == content


def test_only_the_newest_files_are_kept(tmp_path: Path) -> None:
    for number in range(20):
        (tmp_path / f"postgres-{number:02}.log").touch()
    (tmp_path / "other").touch()
    logs.remove_oldest(tmp_path, "postgres-*.log", keep=3)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "other",
        "postgres-17.log",
        "postgres-18.log",
        "postgres-19.log",
    ]
    assert logs.newest(tmp_path, "postgres-*.log") == tmp_path / "postgres-19.log"


def test_a_directory_that_is_not_there_has_no_logs(tmp_path: Path) -> None:
    assert logs.newest(tmp_path / "log", "*.log") is None
    logs.remove_oldest(tmp_path / "log", "*.log", keep=3)
