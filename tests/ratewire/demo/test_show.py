"""Pictures to a terminal or to a pipe, and what is logged to a file."""

import io
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from ratewire.demo.show import Drawn, Lines, logs_to, shower
from tests.ratewire.demo.pictures import happening, line, picture


def console(*, terminal: bool = False) -> tuple[Console, io.StringIO]:
    """A console, and what is written to it."""
    out = io.StringIO()
    return Console(file=out, width=1000, force_terminal=terminal, height=30), out


class TestLines:
    def test_every_event_is_told_once_however_late_it_is_known(self) -> None:
        on, out = console()
        with shower(on, "[heading]", tty=False) as show:
            assert isinstance(show, Lines)
            first, second = happening(1, "first"), happening(2, "[/]second")
            same, late = happening(2, "same time"), happening(0, "late")
            for happenings in ([], [first], [first, second], [late, first, second, same]):
                show.picture(picture(happenings=happenings))
        told = [each.partition(" ")[2] for each in out.getvalue().splitlines()[2:]]
        assert told == ["first", "[/]second", "late", "same time"]
        assert out.getvalue().startswith("[heading]\n01:05 sessions 0")

    def test_figures_come_at_first_and_then_every_now_and_then(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        on, out = console()
        show = Lines(on, "heading")
        for _ in range(5):
            show.picture(picture())
        assert out.getvalue().count("sessions 0") == 1
        monkeypatch.setattr("ratewire.demo.show.SAY_S", 0.0)
        show.picture(picture())
        assert out.getvalue().count("sessions 0") == 2


class TestDrawn:
    def test_it_draws_on_the_alternate_screen_and_leaves_it(self) -> None:
        on, out = console(terminal=True)
        with shower(on, "heading", tty=True) as show:
            assert isinstance(show, Drawn)
            show.picture(picture(lines=[line("alice")]))
            show.picture(picture(lines=[line("bob")]))
        written = out.getvalue()
        assert written.index("\x1b[?1049h") < written.index("alice") < written.index("bob")
        assert written.index("bob") < written.index("\x1b[?1049l")

    def test_it_is_left_after_an_error_too(self) -> None:
        on, out = console(terminal=True)
        with pytest.raises(RuntimeError), shower(on, "heading", tty=True):
            raise RuntimeError
        assert "\x1b[?1049l" in out.getvalue()


def test_logs_of_this_process_and_of_those_it_starts_go_to_the_file(tmp_path: Path) -> None:
    file = tmp_path / "var" / "demo.log"
    kept = os.fstat(2)
    for number in range(2):
        with logs_to(file):
            os.write(2, f"ours {number}\n".encode())
            subprocess.run(
                [sys.executable, "-c", "import sys; print('theirs', file=sys.stderr)"], check=True
            )
    assert file.read_text() == "ours 0\ntheirs\nours 1\ntheirs\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o711
    assert os.path.samestat(os.fstat(2), kept)


def test_standard_error_is_restored_after_an_error(tmp_path: Path) -> None:
    kept = os.fstat(2)
    with pytest.raises(RuntimeError), logs_to(tmp_path / "demo.log"):
        raise RuntimeError
    assert os.path.samestat(os.fstat(2), kept)
